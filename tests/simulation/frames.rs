//! What a frame is, for whoever looks at many.

use crate::media;
use chatwire_codec::Frame;
use chatwire_codec::frame::kind;

const ANSWER: u8 = 0x80;

/// What a message says; `None`: it was removed.
pub(crate) fn text_of(frame: &Frame<'_>) -> Result<Option<String>, String> {
    match frame {
        Frame::Text(text) => Ok(Some(text.text.to_owned())),
        Frame::ReplyText(reply) => Ok(Some(reply.said.text.to_owned())),
        Frame::Media(media) => Ok(Some(media::said(&media.media))),
        Frame::Gone(_) => Ok(None),
        _ => Err("this is no content".into()),
    }
}

/// The number of a request, or of the one that it answers.
pub(crate) fn number(frame: &Frame<'_>) -> Option<u32> {
    if matches!(frame.kind(), kind::CHUNK | kind::STATUS | kind::ERROR) || frame.kind() & !ANSWER < 0x40 {
        return None;
    }
    let mut bytes = Vec::new();
    frame.encode(&mut bytes).unwrap();
    if frame.kind() & 0x70 == 0x70 {
        return None;
    }
    bytes.get(5..9).and_then(|req| req.try_into().ok()).map(u32::from_be_bytes)
}

/// A frame in a few words, without what is random in it.
pub(crate) fn short(frame: &Frame<'_>) -> String {
    match frame {
        Frame::Welcome(welcome) => format!("Welcome user {} session {}", welcome.user, welcome.session),
        Frame::Hello(_) => "Hello".to_owned(),
        Frame::ReplyText(reply) => format!("ReplyText of {} bytes", reply.said.text.len()),
        Frame::Text(text) => format!("Text of {} bytes", text.text.len()),
        frame => {
            let text = format!("{frame:?}");
            text.chars().take(160).collect()
        }
    }
}
