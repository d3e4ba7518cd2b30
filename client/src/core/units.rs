//! Joins what belongs together: FROM with the content behind it, a page of history or of a search with its messages.
//!
//! ```text
//!            FROM              BodyStart
//!  between ───────► announced ───────────► body
//!     ▲                │ content             │ BodyEnd
//!     └────────────────┴─────────────────────┘
//! ```
//!
//! Nothing else may stand inside a unit, and no page may be larger than a page is.

use crate::limits::{PAGE_BYTES, PAGE_MESSAGES};
use crate::message::{Content, Message};
use crate::request::{Found, Page};
use chatwire_codec::{Event, Frame, MediaKind, frame};

/// What came of an event.
#[derive(Debug)]
pub(crate) enum Unit<'a> {
    /// Nothing yet.
    Open,
    /// A frame that stands alone.
    Frame(Frame<'a>),
    /// A live message.
    Message(Message),
    /// HISTORY's answer, whole, with its `req`.
    Page(u32, Page),
    /// SEARCH's answer, whole, with its `req`.
    Found(u32, Found),
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Between,
    Announced(Message),
    Body(Message, MediaKind, Vec<u8>),
}

#[derive(Debug)]
struct OpenPage {
    req: u32,
    left: u16,
    bytes: usize,
    page: Page,
    /// Of a search, whose messages may be of any chat.
    is_found: bool,
}

/// The unit that is being read.
#[derive(Debug, Default)]
pub(crate) struct Units {
    state: State,
    page: Option<OpenPage>,
}

impl Units {
    pub(crate) fn handle<'a>(&mut self, event: Event<'a>) -> Result<Unit<'a>, &'static str> {
        match (std::mem::take(&mut self.state), event) {
            (State::Between, Event::Frame(frame)) => self.begin(frame),
            (State::Between, Event::Skipped { .. }) if self.page.is_none() => Ok(Unit::Open),
            (State::Announced(message), Event::Frame(frame)) => {
                let content = Content::of(&frame).ok_or("FROM without content behind it")?;
                self.whole(message, content)
            }
            (State::Announced(message), Event::Skipped { kind, .. }) => {
                self.whole(message, Content::Unknown(kind))
            }
            (State::Announced(message), Event::BodyStart { kind, .. }) => {
                let kind = MediaKind::from_number(kind).unwrap_or(MediaKind::File);
                self.state = State::Body(message, kind, Vec::new());
                Ok(Unit::Open)
            }
            (State::Body(message, kind, mut bytes), Event::BodyChunk(chunk)) => {
                bytes.extend_from_slice(chunk);
                self.state = State::Body(message, kind, bytes);
                Ok(Unit::Open)
            }
            (State::Body(message, kind, bytes), Event::BodyEnd) => {
                self.whole(message, Content::Inline { kind, bytes })
            }
            _ => Err("content without FROM before it"),
        }
    }

    fn begin<'a>(&mut self, frame: Frame<'a>) -> Result<Unit<'a>, &'static str> {
        match frame {
            Frame::From_(from) => {
                self.state = State::Announced(Message::announced(&from));
                Ok(Unit::Open)
            }
            _ if self.page.is_some() => Err("a page without its messages"),
            Frame::HistoryPage(head) => self.open(&head, false),
            Frame::SearchPage(found) => {
                let frame::SearchPage { req, more, count } = found;
                self.open(&frame::HistoryPage { req, more, count, ..frame::HistoryPage::default() }, true)
            }
            frame if Content::of(&frame).is_some() => Err("content without FROM before it"),
            frame => Ok(Unit::Frame(frame)),
        }
    }

    fn open<'a>(&mut self, head: &frame::HistoryPage, is_found: bool) -> Result<Unit<'a>, &'static str> {
        if head.count > PAGE_MESSAGES {
            return Err("a page with too many messages");
        }
        let page = Page {
            chat: head.chat,
            first_seq: head.first_seq,
            last_seq: head.last_seq,
            more: head.more != 0,
            messages: Vec::new(),
        };
        self.page = Some(OpenPage { req: head.req, left: head.count, bytes: 0, page, is_found });
        Ok(self.close())
    }

    fn whole<'a>(&mut self, mut message: Message, content: Content) -> Result<Unit<'a>, &'static str> {
        message.content = content;
        let Some(open) = &mut self.page else { return Ok(Unit::Message(message)) };
        if !open.is_found && open.page.chat != message.chat {
            return Err("a page of history with another chat's messages");
        }
        open.bytes += message.weight();
        if open.bytes > PAGE_BYTES {
            return Err("a page that is too large");
        }
        open.left -= 1;
        open.page.messages.push(message);
        Ok(self.close())
    }

    fn close<'a>(&mut self) -> Unit<'a> {
        match self.page.take_if(|open| open.left == 0) {
            Some(open) if open.is_found => {
                Unit::Found(open.req, Found { more: open.page.more, messages: open.page.messages })
            }
            Some(open) => Unit::Page(open.req, open.page),
            None => Unit::Open,
        }
    }
}
