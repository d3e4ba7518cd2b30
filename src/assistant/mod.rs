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
use std::time::Duration;
use tokio::sync::mpsc;

/// The assistant's name; nobody else can have it.
pub const NAME: &str = "assistant";
/// Questions that wait for their answers.
const QUEUE: usize = 4096;
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
    /// Not empty; at most as long as a text may be.
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
}

impl Desk {
    /// A desk, and the work at it, which ends when the desk is gone.
    pub fn open(assistant: impl Assistant, store: Arc<dyn Store>) -> (Self, impl Future<Output = ()> + Send) {
        let (questions, mut queue) = mpsc::channel(QUEUE);
        let desk = Desk { questions, store: store.clone() };
        let work = async move {
            while let Some(question) = queue.recv().await {
                let text = match tokio::time::timeout(PATIENCE, assistant.answer(&question)).await {
                    Ok(Ok(reply)) => reply.text,
                    Ok(Err(failed)) => failed.0,
                    Err(_) => "I could not find an answer in time.".to_owned(),
                };
                submit(&*store, &question, text);
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
        if let Err(mpsc::error::TrySendError::Full(question)) = self.questions.try_send(question) {
            submit(
                &*self.store,
                &question,
                "I have too much to answer at the moment; ask me again later.".into(),
            );
        }
    }
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
