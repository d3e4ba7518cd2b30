//! Chunks that come, and transfers that nobody wants any more.

use super::pending::{Asked, Note, Transfer};
use super::{Core, Delivery};
use crate::error::Error;
use chatwire_codec::frame::{self, kind};

impl Core {
    /// Ends a transfer that nobody reads any more.
    pub(crate) fn abandon(&mut self, transfer: u32) {
        if let Some(asked) = self.pending.asked.get_mut(&transfer) {
            asked.waiting = None;
        } else if self.pending.transfers.remove(&transfer).is_none()
            && self.pending.uploads.remove(&transfer).is_none()
        {
            return;
        }
        let req = self.pending.number();
        self.urge(&frame::Cancel { req, transfer });
        let asked = Asked { kind: kind::CANCEL, waiting: None, note: Note::Nothing };
        self.pending.asked.insert(req, asked);
    }

    pub(super) fn begin_transfer(&mut self, req: u32, transfer: Transfer) {
        if transfer.next < transfer.end {
            self.pending.transfers.insert(req, transfer);
        }
    }

    pub(super) fn chunk(&mut self, chunk: &frame::Chunk<'_>) -> Option<Delivery> {
        let id = chunk.transfer;
        let transfer = self.pending.transfers.get_mut(&id)?;
        let to = transfer.pieces.clone();
        let next = transfer.next.saturating_add(chunk.bytes.len() as u64);
        if chunk.offset != transfer.next || chunk.bytes.is_empty() || next > transfer.end {
            self.abandon(id);
            let piece = Err(Error::Violation("a piece of media that is out of place"));
            return Some(Delivery::Piece { transfer: id, piece, to });
        }
        transfer.next = next;
        if next == transfer.end {
            self.pending.transfers.remove(&id);
        }
        Some(Delivery::Piece { transfer: id, piece: Ok(chunk.bytes.to_vec()), to })
    }
}
