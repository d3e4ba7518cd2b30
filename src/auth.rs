//! Whether a password is right: the only place where passwords are hashed.
//!
//! Hashing one takes tens of milliseconds of a processor and 19 MiB, on purpose. So it is done on threads for
//! blocking work, few at a time, and others wait for their turn. Whoever has failed too often does not get one
//! ([`crate::policy::failures`]). An unknown name is looked at as long as a known one.

use crate::clock;
use crate::error::Refusal;
use crate::policy::failures::Failures;
use crate::policy::newcomers::Newcomer;
use crate::session::{Claim, Proven};
use crate::store::Store;
use crate::warden::Warden;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use chatwire_codec::Code;
use std::net::IpAddr;
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Passwords that are hashed at once, at most; fewer where that would be more than half of the processors, so that
/// the bytes of others keep moving.
const HASHES_AT_ONCE: usize = 4;
/// Logins that may wait for their turn: some ten seconds' work. More are told to come back.
const WAITING: usize = 512;
/// When those may.
const COME_BACK_MS: u32 = 5_000;
/// What a password is compared with where there is none: the hash, made as all are, of one that nobody knows.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$/feMAj7UDTo8Cv7Zzo55Zg$\
                       BN7uaaMio7VkaXlwwH1mlWfYACSDnraoEfVqnhGIXJc";

/// See the module.
pub struct Auth {
    store: Arc<dyn Store>,
    warden: Arc<Warden>,
    /// How many more passwords may be hashed now.
    turns: Arc<Semaphore>,
    /// How many more may wait for that.
    waiting: Semaphore,
    failures: Mutex<Failures>,
}

impl Auth {
    /// Nobody has failed yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, warden: Arc<Warden>) -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        let turns = Arc::new(Semaphore::new((processors / 2).clamp(1, HASHES_AT_ONCE)));
        Auth { store, warden, turns, waiting: Semaphore::new(WAITING), failures: Mutex::default() }
    }

    /// Finds what a claim from this address is worth.
    ///
    /// # Errors
    /// The claim's own, `rate_limited`, `busy`, or `internal`.
    pub async fn prove(self: Arc<Self>, claim: Claim, address: IpAddr) -> Result<Proven, Refusal> {
        self.admit(address)?;
        let _waits = self.waiting.try_acquire().map_err(|_| busy())?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| Refusal::internal())?;
        let auth = self.clone();
        let proof = spawn_blocking(move || {
            let proof = auth.prove_now(&claim, address);
            // Not before: the connection may have ended, and its hash is still being made.
            drop(turn);
            proof
        });
        proof.await.unwrap_or_else(|e| {
            log::error!("a password could not be looked at: {e}");
            Err(Refusal::internal())
        })
    }

    /// A login from this address has failed for this reason: what it is told.
    pub fn failed(&self, address: IpAddr, why: Refusal) -> Refusal {
        let now = clock::instant();
        let mut failures = self.failures();
        match failures.admit(address, now) {
            Ok(()) => {
                failures.note(address, now);
                why
            }
            Err(wait) => limited(wait),
        }
    }

    fn prove_now(&self, claim: &Claim, address: IpAddr) -> Result<Proven, Refusal> {
        // Others from there may have failed while this one waited.
        self.admit(address)?;
        let account = self.store.account(&claim.key)?;
        if account.is_none() && claim.registers {
            self.warden.admit_newcomer(Newcomer::Registration, address)?;
            return Ok(Proven::New(hash(&claim.password.0)?));
        }
        let known = account.and_then(|account| Some((account.user, account.password?)));
        let is_right = is_of(&claim.password.0, known.as_ref().map_or(NOBODYS, |(_, hash)| hash));
        match known {
            Some((user, hash)) if is_right => {
                // Of several that were looked at at once, none may tell more than one after the other would.
                self.admit(address)?;
                Ok(Proven::Known(user, hash))
            }
            _ => Err(self.failed(address, claim.wrong.clone())),
        }
    }

    fn admit(&self, address: IpAddr) -> Result<(), Refusal> {
        self.failures().admit(address, clock::instant()).map_err(limited)
    }

    /// Whoever panicked in here left whole entries behind.
    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A password as it is kept: argon2id, with its salt and parameters. Takes long.
///
/// # Errors
/// `internal`, when the system has no memory or no random numbers.
pub fn hash(password: &str) -> Result<Box<str>, Refusal> {
    match Argon2::default().hash_password(password.as_bytes()) {
        Ok(hash) => Ok(hash.to_string().into()),
        Err(e) => {
            log::error!("a password could not be hashed: {e}");
            Err(Refusal::internal())
        }
    }
}

/// Whether this is the password of this hash. Takes long, either way.
fn is_of(password: &str, hash: &str) -> bool {
    match PasswordHash::new(hash) {
        Ok(hash) => Argon2::default().verify_password(password.as_bytes(), &hash).is_ok(),
        Err(e) => {
            log::error!("a hash of a password in the data cannot be read: {e}");
            false
        }
    }
}

fn limited(wait: std::time::Duration) -> Refusal {
    let text = "too many logins from this address have failed; try again later";
    Refusal::too_early(Code::RateLimited, text, wait)
}

fn busy() -> Refusal {
    let text = "too many logins are waiting to be looked at; come back in a few seconds";
    Refusal { retry_ms: COME_BACK_MS, ..Refusal::new(Code::Busy, text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Durability;
    use crate::policy::failures::FAILURES;
    use crate::session::Secret;
    use crate::store::sqlite::admin::Admin;
    use crate::store::sqlite::{Options, SqliteStore};
    use crate::store::wrong_password;
    use tempfile::TempDir;

    const HERE: &str = "192.0.2.7";

    /// Somebody who knows that `ann` has the password `secret`.
    fn auth() -> (Arc<Auth>, TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().to_owned();
        let clock: crate::store::sqlite::Clock = Arc::new(clock::wall);
        Admin::open_or_make(&data, clock.clone()).unwrap().add_user("Ann", &hash("secret").unwrap()).unwrap();
        let options = Options { data, durability: Durability::Normal, readers: 4, clock };
        let store = Arc::new(SqliteStore::open(options).unwrap());
        let warden = Arc::new(Warden::new(store.clone()).unwrap());
        (Arc::new(Auth::new(store, warden)), dir)
    }

    fn claim(key: &str, password: &str, registers: bool) -> Claim {
        Claim { key: key.into(), password: Secret(password.into()), registers, wrong: wrong_password() }
    }

    async fn prove(auth: &Arc<Auth>, from: &str, claim: Claim) -> Result<Proven, Refusal> {
        auth.clone().prove(claim, from.parse().unwrap()).await
    }

    #[tokio::test]
    async fn the_right_password_is_right_and_a_name_that_is_free_may_be_registered() {
        let (auth, _dir) = auth();
        let Proven::Known(user, hash) = prove(&auth, HERE, claim("ann", "secret", false)).await.unwrap()
        else {
            panic!("not known")
        };
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        let again = prove(&auth, HERE, claim("ann", "secret", true)).await.unwrap();
        assert_eq!(again, Proven::Known(user, hash));
        let Proven::New(hash) = prove(&auth, HERE, claim("bob", "secret", true)).await.unwrap() else {
            panic!("not new")
        };
        assert!(is_of("secret", &hash) && !is_of("Secret", &hash));
    }

    /// Nanoseconds that this thread has had a processor.
    fn worked() -> u64 {
        let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        times.split(' ').next().unwrap().parse().unwrap()
    }

    #[test]
    fn unknown_names_and_wrong_passwords_take_the_same_words_and_time() {
        let (auth, _dir) = auth();
        let mut least = [u64::MAX; 2];
        for _ in 0..4 {
            for (name, least) in ["ann", "nobody"].into_iter().zip(&mut least) {
                let begun = worked();
                let refusal =
                    auth.prove_now(&claim(name, "other", false), HERE.parse().unwrap()).unwrap_err();
                *least = (worked() - begun).min(*least);
                assert_eq!(refusal, wrong_password());
            }
        }
        let [known, unknown] = least;
        assert!(known < 5 * unknown && unknown < 5 * known, "{known} ns, {unknown} ns");
        let parameters = |hash: &str| hash.rsplitn(3, '$').last().unwrap().to_owned();
        assert_eq!(parameters(NOBODYS), parameters(&hash("x").unwrap()));
    }

    #[tokio::test]
    async fn whoever_has_failed_ten_times_waits_and_costs_nothing() {
        let (auth, _dir) = auth();
        for _ in 0..FAILURES {
            let refusal = prove(&auth, HERE, claim("ann", "other", false)).await.unwrap_err();
            assert_eq!(refusal, wrong_password());
        }
        // Nothing can be hashed now.
        let turns = auth.turns.available_permits();
        let _all = auth.turns.clone().acquire_many_owned(u32::try_from(turns).unwrap()).await.unwrap();
        let refusal = prove(&auth, HERE, claim("ann", "secret", false)).await.unwrap_err();
        assert_eq!(refusal.code, Code::RateLimited);
        assert!((500_000..=600_001).contains(&refusal.retry_ms), "{refusal:?}");
        let refusal = auth.failed(HERE.parse().unwrap(), wrong_password());
        assert_eq!(refusal.code, Code::RateLimited);
        drop(_all);
        prove(&auth, "192.0.2.8", claim("ann", "secret", false)).await.expect("another address");
    }

    #[tokio::test]
    async fn who_waits_while_others_fail_waits_on() {
        let (auth, _dir) = auth();
        let turns = auth.turns.available_permits();
        let all = auth.turns.clone().acquire_many_owned(u32::try_from(turns).unwrap()).await.unwrap();
        let waits = {
            let auth = auth.clone();
            tokio::spawn(async move { prove(&auth, HERE, claim("ann", "secret", false)).await })
        };
        while auth.waiting.available_permits() == WAITING {
            tokio::task::yield_now().await;
        }
        (0..FAILURES).for_each(|_| drop(auth.failed(HERE.parse().unwrap(), wrong_password())));
        drop(all);
        assert_eq!(waits.await.unwrap().unwrap_err().code, Code::RateLimited);
    }

    #[tokio::test]
    async fn guesses_that_are_made_at_once_tell_no_more_than_one_after_the_other() {
        let (auth, _dir) = auth();
        let guesses = (0..3 * FAILURES).map(|_| {
            let auth = auth.clone();
            tokio::spawn(async move { prove(&auth, HERE, claim("ann", "other", false)).await })
        });
        let mut told = 0;
        for guess in guesses.collect::<Vec<_>>() {
            told += usize::from(guess.await.unwrap().unwrap_err() == wrong_password());
        }
        assert_eq!(told, FAILURES);
    }

    /// On a runtime of one thread.
    #[tokio::test]
    async fn who_is_looked_at_holds_nobody_up() {
        let (auth, _dir) = auth();
        let looked_at = tokio::spawn(async move { prove(&auth, HERE, claim("ann", "secret", false)).await });
        let mut turns = 0;
        while !looked_at.is_finished() {
            tokio::task::yield_now().await;
            turns += 1;
        }
        looked_at.await.unwrap().unwrap();
        assert!(turns > 100, "{turns}");
    }

    #[tokio::test]
    async fn only_so_many_wait_for_their_turn() {
        let (auth, _dir) = auth();
        let turns = auth.turns.available_permits();
        let _all = auth.turns.clone().acquire_many_owned(u32::try_from(turns).unwrap()).await.unwrap();
        let _full = auth.waiting.acquire_many(u32::try_from(WAITING).unwrap()).await.unwrap();
        let refusal = prove(&auth, HERE, claim("ann", "secret", false)).await.unwrap_err();
        assert_eq!((refusal.code, refusal.retry_ms), (Code::Busy, COME_BACK_MS));
    }
}
