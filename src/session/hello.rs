//! HELLO: who, where, and how much may come inline.

use super::effect::{Token, named};
use super::request::room_name;
use super::{Claim, Effect, Greeted, Open, Proven, Secret, Session, State};
use crate::error::Refusal;
use crate::id::{Now, UserId};
use crate::names;
use crate::presence::Presence;
use crate::store::{self, FirstRoom, Login, Op, Who};
use chatwire_codec::Code;
use chatwire_codec::frame::{self, kind};
use chrono_tz::Tz;
use std::sync::Arc;
use std::time::Instant;

/// The largest media that may be pushed whole, in bytes.
const MAX_INLINE: u32 = 1024 * 1024;

/// HELLO's flag: no live messages but from chats that SYNC asked for.
const NO_LIVE: u8 = 1;

mod auth {
    pub(super) const GUEST: u8 = 0;
    pub(super) const PASSWORD: u8 = 1;
    pub(super) const TOKEN: u8 = 2;
    pub(super) const REGISTER: u8 = 3;
}

/// A connection that has said HELLO and waits for what comes of it.
#[derive(Debug)]
pub(super) struct LoggingIn {
    zone: Tz,
    device: Box<str>,
    /// The hash of the token that may be given out.
    new_token: [u8; 32],
    /// The name that is to be registered.
    name: Box<str>,
    /// To be proven once more, should somebody else register the name in the meantime.
    again: Option<Claim>,
    /// The login has a JOIN with it.
    joins: bool,
}

/// What a connection says of itself.
enum Says {
    /// What the store can decide.
    Known(Who),
    /// What must be proven first; and the name, if it is to be registered.
    Claims(Box<str>, Claim),
}

impl Session {
    pub(super) fn hello(&mut self, now: Now, hello: &frame::Hello<'_>) {
        if let Err(refusal) = self.try_hello(now, hello) {
            self.fatal(now.instant, &refusal, kind::HELLO);
        }
    }

    fn try_hello(&mut self, now: Now, hello: &frame::Hello<'_>) -> Result<(), Refusal> {
        if hello.version == 0 {
            return Err(Refusal::new(Code::BadVersion, "this server speaks versions 1 to 1"));
        }
        let zone = self.rules.policy.admit_zone(hello.timezone)?;
        let who = self.says(hello)?;
        let device = names::label(hello.device)?;
        let token = match &who {
            Says::Known(Who::Token { hash, .. }) => Token::Known(*hash),
            _ => Token::new()?,
        };
        let new_token = token.hash();
        self.timers.welcomed();
        self.effects.push_back(Effect::Greet(Greeted {
            version: hello.version.min(chatwire_codec::VERSION),
            zone,
            inline_limit: hello.inline_limit.min(MAX_INLINE),
            live: hello.flags & NO_LIVE == 0,
            at: now.wall,
            token,
        }));
        let mut state =
            Box::new(LoggingIn { zone, device, new_token, name: Box::default(), again: None, joins: false });
        match who {
            Says::Known(who) => {
                self.state = State::LoggingIn(state);
                self.log_in(who);
            }
            Says::Claims(name, claim) => {
                state.name = name;
                state.again = claim.registers.then(|| claim.clone());
                self.state = State::LoggingIn(state);
                self.effects.push_back(Effect::Prove(claim));
            }
        }
        Ok(())
    }

    /// What came of [`Effect::Prove`].
    pub fn handle_proof(&mut self, now: Instant, proof: Result<Proven, Refusal>) {
        let State::LoggingIn(state) = &self.state else { return };
        match proof {
            Ok(Proven::Known(user, hash)) => self.log_in(Who::Password { user, hash }),
            Ok(Proven::New(hash)) => {
                let name = state.name.clone();
                self.log_in(Who::Register { name, hash });
            }
            Err(refusal) => self.fatal(now, &refusal, kind::HELLO),
        }
    }

    pub(super) fn login_refused(&mut self, now: Instant, refusal: &Refusal) {
        if refusal.code == Code::Conflict
            && let State::LoggingIn(state) = &mut self.state
            && let Some(claim) = state.again.take()
        {
            return self.effects.push_back(Effect::Prove(claim));
        }
        self.fatal(now, refusal, kind::HELLO);
    }

    fn log_in(&mut self, who: Who) {
        let State::LoggingIn(state) = &self.state else { return };
        let (device, new_token) = (state.device.clone(), state.new_token);
        let login = Login { conn: self.conn, who, device, new_token, first_room: None };
        self.effects.push_back(Effect::Submit(Op::Login(login)));
    }

    /// Takes a JOIN that stands right behind HELLO along with the login, so that both are one change to the store;
    /// false if it must wait for the login, as everything else does.
    pub fn handle_first_room(&mut self, join: &frame::Join<'_>) -> bool {
        if let State::LoggingIn(state) = &mut self.state
            && let Some(Effect::Submit(Op::Login(login))) = self.effects.back_mut()
            && join.req != 0
            && let Ok(room) = room_name(join.room)
        {
            login.first_room = Some(FirstRoom { req: join.req, room });
            state.joins = true;
            return true;
        }
        false
    }

    fn says(&self, hello: &frame::Hello<'_>) -> Result<Says, Refusal> {
        let policy = &self.rules.policy;
        if hello.auth != auth::GUEST && !self.is_private && !policy.plaintext_secrets {
            let text = "secrets are not taken over an unencrypted connection";
            return Err(Refusal::new(Code::Unauthenticated, text));
        }
        match hello.auth {
            auth::GUEST if !policy.guests => {
                Err(Refusal::new(Code::Unauthenticated, "this server admits no guests"))
            }
            auth::GUEST if hello.user.is_empty() => Ok(Says::Known(Who::Guest { name: None })),
            auth::GUEST => Ok(Says::Known(Who::Guest { name: Some(names::free(hello.user)?) })),
            auth::TOKEN => {
                let (user, hash) = named(hello.secret);
                Ok(Says::Known(Who::Token { user, hash }))
            }
            auth::PASSWORD | auth::REGISTER => self.claims(hello),
            _ => Err(Refusal::new(Code::Unauthenticated, "there is no such way to log in")),
        }
    }

    /// With a password. Where nobody may register, a wish to is a login like any other.
    fn claims(&self, hello: &frame::Hello<'_>) -> Result<Says, Refusal> {
        let wishes = hello.auth == auth::REGISTER;
        let registers = wishes && self.rules.policy.registration;
        let wrong = if registers {
            Refusal::new(Code::Conflict, "this name is taken, and its password is another")
        } else if wishes {
            Refusal::new(
                Code::Unauthenticated,
                "no user of this name has this password, and none is registered",
            )
        } else {
            store::wrong_password()
        };
        if hello.secret.is_empty() {
            return Err(Refusal::new(Code::Unauthenticated, "a password is not empty"));
        }
        let name = if registers { names::free(hello.user)? } else { Box::default() };
        let password = Secret(hello.secret.into());
        Ok(Says::Claims(name, Claim { key: names::key(hello.user), password, registers, wrong }))
    }

    pub(super) fn welcomed(&mut self, user: UserId, name: Arc<str>) {
        if let State::LoggingIn(state) = &self.state {
            let (zone, waits) = (state.zone, state.joins);
            self.state = State::Open(Box::new(Open {
                user,
                name,
                zone,
                current: None,
                draft: None,
                body: None,
                waits,
                transfers: Vec::new(),
                last_upload: 0,
                events_until: None,
            }));
            self.effects.push_back(Effect::Presence(Presence::Online));
        }
    }
}
