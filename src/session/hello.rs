//! HELLO: who, where, and how much may come inline.

use super::{Effect, Greeted, Open, Session, State};
use crate::error::Refusal;
use crate::id::{Now, UserId};
use crate::names;
use crate::presence::Presence;
use crate::store::{Login, Op, Who};
use chatwire_codec::Code;
use chatwire_codec::frame::{self, kind};
use std::sync::Arc;

/// The largest media that may be pushed whole, in bytes.
const MAX_INLINE: u32 = 1024 * 1024;

/// HELLO's flag: no live messages but from chats that SYNC asked for.
const NO_LIVE: u8 = 1;

mod auth {
    pub(super) const GUEST: u8 = 0;
    pub(super) const TOKEN: u8 = 2;
}

impl Session {
    pub(super) fn hello(&mut self, now: Now, hello: &frame::Hello<'_>) {
        if let Err(refusal) = self.try_hello(hello) {
            self.fatal(now.instant, &refusal, kind::HELLO);
        }
    }

    fn try_hello(&mut self, hello: &frame::Hello<'_>) -> Result<(), Refusal> {
        if hello.version == 0 {
            return Err(Refusal::new(Code::BadVersion, "this server speaks versions 1 to 1"));
        }
        let zone = self.rules.policy.admit_zone(hello.timezone)?;
        let device = names::label(hello.device)?;
        let who = self.who(hello)?;
        let (new_token, hash) = new_token()?;
        self.state = State::LoggingIn { zone };
        self.timers.welcomed();
        self.effects.push_back(Effect::Greet(Greeted {
            version: hello.version.min(chatwire_codec::VERSION),
            zone,
            inline_limit: hello.inline_limit.min(MAX_INLINE),
            live: hello.flags & NO_LIVE == 0,
            new_token,
        }));
        let login = Login { conn: self.conn, who, device, new_token: hash };
        self.effects.push_back(Effect::Submit(Op::Login(login)));
        Ok(())
    }

    fn who(&self, hello: &frame::Hello<'_>) -> Result<Who, Refusal> {
        if hello.auth != auth::GUEST && !self.is_private && !self.rules.policy.plaintext_secrets {
            let text = "secrets are not taken over an unencrypted connection";
            return Err(Refusal::new(Code::Unauthenticated, text));
        }
        match hello.auth {
            auth::GUEST if !self.rules.policy.guests => {
                Err(Refusal::new(Code::Unauthenticated, "this server admits no guests"))
            }
            auth::GUEST if hello.user.is_empty() => Ok(Who::Guest { name: None }),
            auth::GUEST => {
                let name = names::check(hello.user)?;
                if names::is_reserved(&name) {
                    return Err(Refusal::new(Code::Conflict, "this name is reserved; choose another"));
                }
                Ok(Who::Guest { name: Some(name) })
            }
            auth::TOKEN => Ok(Who::Token { hash: hash(hello.secret) }),
            _ => Err(Refusal::new(Code::Unauthenticated, "this server takes guests and tokens only")),
        }
    }

    pub(super) fn welcomed(&mut self, user: UserId, name: Arc<str>) {
        if let State::LoggingIn { zone } = self.state {
            self.state = State::Open(Box::new(Open {
                user,
                name,
                zone,
                current: None,
                draft: None,
                body: None,
                waits: false,
                fetches: Vec::new(),
                events_until: None,
            }));
            self.effects.push_back(Effect::Presence(Presence::Online));
        }
    }
}

/// 128 random bits as a client keeps them, and their hash as the store does.
fn new_token() -> Result<(Box<str>, [u8; 32]), Refusal> {
    let mut bits = [0; 16];
    if let Err(e) = getrandom::fill(&mut bits) {
        log::error!("the system gives no random numbers: {e}");
        return Err(Refusal::internal());
    }
    let token: String = bits.iter().map(|byte| format!("{byte:02x}")).collect();
    let hash = hash(&token);
    Ok((token.into(), hash))
}

/// A token has 128 random bits, so a fast hash without salt gives nothing away.
fn hash(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}
