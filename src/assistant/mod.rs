//! The assistant: who answers in home chats. A kind of assistant is one [`Assistant`]; [`Desk`] stands
//! between them and the hub: it takes questions as they are committed, and puts the answers into the store.
//!
//! It answers one question after another, so that answers come in the order of the questions. What does not
//! fit into its queue is answered at once, with an apology: nothing a user says is met with silence.

mod builtin;

use crate::clock;
use crate::hub::Listener;
use crate::id::{ChatId, Micros, Seq, UserId};
use crate::store::{Append, Content, Message, Op, Store, Target};
pub use builtin::{Builtin, Echo};
use chatwire_codec::frame::kind;
use chrono_tz::Tz;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{self, error::TrySendError};

/// The assistant's name; nobody else can have it.
pub const NAME: &str = "assistant";
/// Questions that wait for their answers, and bytes of text in them.
const QUEUE: usize = 4096;
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a user said to the assistant.
#[derive(Clone, Debug)]
pub struct Question {
    /// Who.
    pub user_name: Arc<str>,
    /// Where they are, if they are still there.
    pub zone: Option<Tz>,
    /// When.
    pub at: Micros,
    /// What.
    pub content: Content,
    chat: ChatId,
    seq: Seq,
}

/// What the assistant says to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Not empty; cut where it is longer than a text may be.
    pub text: String,
}

/// An answer in the making.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Reply, Failed>> + Send + 'a>>;

/// There is no answer. The text is for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failed(pub String);

/// A kind of assistant.
pub trait Assistant: Send + Sync + 'static {
    /// Answers a question. Dropped when it takes too long.
    fn answer<'a>(&'a self, question: &'a Question) -> Answering<'a>;
}

/// See the module.
pub struct Desk {
    questions: mpsc::Sender<Question>,
    store: Arc<dyn Store>,
    /// Bytes of text in the queue.
    waiting: Arc<AtomicUsize>,
    /// The longest text of a reply, in bytes.
    max_text: usize,
}

impl Desk {
    /// A desk, and the work at it, which ends when the desk is gone.
    pub fn open(
        assistant: impl Assistant,
        store: Arc<dyn Store>,
        max_text: u32,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (questions, mut queue) = mpsc::channel::<Question>(QUEUE);
        let (waiting, max_text) = (Arc::new(AtomicUsize::new(0)), max_text as usize);
        let desk = Desk { questions, store: store.clone(), waiting: waiting.clone(), max_text };
        let work = async move {
            while let Some(question) = queue.recv().await {
                waiting.fetch_sub(question.len(), Ordering::Relaxed);
                let text = match tokio::time::timeout(PATIENCE, assistant.answer(&question)).await {
                    Ok(Ok(reply)) => reply.text,
                    Ok(Err(failed)) => failed.0,
                    Err(_) => "I could not find an answer in time.".to_owned(),
                };
                submit(&*store, &question, cut(text, max_text));
            }
        };
        (desk, work)
    }
}

impl Listener for Desk {
    fn heard(&self, message: &Message, zone: Option<Tz>) {
        let question = Question {
            user_name: message.user_name.clone(),
            zone,
            at: message.at,
            content: message.content.clone(),
            chat: message.chat,
            seq: message.seq,
        };
        if let Err(question) = self.enqueue(question) {
            let sorry = "I have too much to answer at the moment; ask me again later.".to_owned();
            submit(&*self.store, &question, cut(sorry, self.max_text));
        }
    }
}

impl Desk {
    /// Gives the question back if there is no room for it.
    fn enqueue(&self, question: Question) -> Result<(), Question> {
        let len = question.len();
        if self.waiting.load(Ordering::Relaxed) + len > QUEUE_BYTES {
            return Err(question);
        }
        self.waiting.fetch_add(len, Ordering::Relaxed);
        self.questions.try_send(question).map_err(|e| {
            self.waiting.fetch_sub(len, Ordering::Relaxed);
            let (TrySendError::Full(question) | TrySendError::Closed(question)) = e;
            question
        })
    }
}

impl Question {
    /// Bytes of text.
    fn len(&self) -> usize {
        match &self.content {
            Content::Text(text) | Content::Reply(text, _) => text.len(),
            Content::Media(_) | Content::Reference(..) | Content::Gone => 0,
        }
    }
}

/// At most so many bytes of a text, whole characters.
fn cut(mut text: String, max: usize) -> String {
    text.truncate(text.floor_char_boundary(max));
    text
}

/// Whatever becomes of a question is a message like any other.
fn submit(store: &dyn Store, question: &Question, text: String) {
    store.submit(Op::Append(Append {
        conn: None,
        user: UserId::ASSISTANT,
        user_name: NAME.into(),
        nonce: 0,
        target: Target::Chat(question.chat),
        reply_to: question.seq,
        name: Box::default(),
        about: kind::REPLY_TEXT,
        permit: 0,
        content: Ok(Content::Reply(text.into(), Vec::new())),
        refused: None,
    }));
}

/// The time, for assistants that are asked for it.
fn now() -> Micros {
    clock::wall()
}
