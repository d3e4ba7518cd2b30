//! Accounts, passwords, bans, and the operator's commands on them.

use super::*;
use crate::policy::bans::Ban;
use crate::store::sqlite::admin::{Effect, Whom};
use crate::store::{Account, Farewell};

const MINUTE: Micros = 60 * SECOND;

fn password(user: UserId, hash: &str) -> Who {
    Who::Password { user, hash: hash.into() }
}

fn register(name: &str) -> Who {
    Who::Register { name: name.into(), hash: "hash".into() }
}

fn forever() -> Ban {
    Ban { until: None, reason: "noise".into() }
}

fn whom(name: &str) -> Whom {
    name.parse().map_or_else(|_| Whom::User(name.into()), Whom::Network)
}

#[test]
fn who_registers_is_somebody_from_then_on() {
    let mut rig = Rig::new();
    let ann = rig.login(register("Ann"), "phone", 1).unwrap();
    assert!(ann.token_given && ann.home.0 > 1);
    let account = Account { user: ann.user, password: Some("hash".into()) };
    assert_eq!(rig.store.account("ann"), Ok(Some(account)));
    assert_eq!(rig.store.account("bob"), Ok(None));
    let again = rig.login(password(ann.user, "hash"), "laptop", 2).unwrap();
    assert_eq!((again.user, again.home, &*again.name), (ann.user, ann.home, "Ann"));
    assert!(again.token_given);
    for (device, number) in [("phone", 1), ("laptop", 2)] {
        rig.login(rig.token(number), device, 9).expect("both tokens are good");
    }
}

#[test]
fn a_name_is_registered_once_and_no_guests_either() {
    let mut rig = Rig::new();
    rig.user("Straße", "hash");
    rig.guest("bob");
    for name in ["STRASSE", "bob", "Bob"] {
        assert_eq!(rig.login(register(name), "", 9).unwrap_err().code, Code::Conflict, "{name}");
    }
    assert_eq!(rig.store.account("bob").unwrap().unwrap().password, None);
}

#[test]
fn a_password_that_was_changed_after_it_was_proven_is_wrong() {
    let mut rig = Rig::new();
    let ann = rig.user("ann", "old");
    let refusal = rig.login(password(ann, "other"), "phone", 9).unwrap_err();
    assert_eq!(refusal, crate::store::wrong_password());
    let guest = rig.guest("bob");
    assert_eq!(rig.login(password(guest, ""), "phone", 9).unwrap_err(), refusal);
}

#[test]
fn the_hundred_tokens_that_were_used_last_are_kept() {
    let mut rig = Rig::new();
    let ann = rig.user("ann", "hash");
    rig.pass(SECOND);
    for number in 1..=100 {
        rig.login(password(ann, "hash"), "laptop", 100 + number).unwrap();
    }
    assert_eq!(rig.login(rig.token(token_of("ann")), "phone", 0).unwrap_err().code, Code::Unauthenticated);
    rig.login(password(ann, "hash"), "laptop", 250).unwrap();
    rig.login(rig.token(250), "laptop", 0).expect("the newest, of the same moment as others");
    rig.login(password(ann, "hash"), "laptop", 98).unwrap();
    rig.login(rig.token(98), "laptop", 0).expect("the newest, of the same moment as others");
    rig.pass(SECOND);
    rig.login(rig.token(150), "laptop", 0).unwrap();
    rig.login(password(ann, "hash"), "laptop", 99).unwrap();
    rig.login(rig.token(150), "laptop", 0).expect("it was used since");
    rig.login(rig.token(99), "laptop", 0).expect("the newest");
    assert_eq!(rig.admin().sessions("ann").unwrap().len(), 100);
}

#[test]
fn a_guests_token_counts_from_the_last_connection_however_long_it_was() {
    let mut rig = Rig::new();
    let guest = rig.guest("bob");
    rig.pass(40 * 24 * HOUR);
    rig.depart(guest);
    rig.pass(23 * HOUR);
    rig.login(rig.token(token_of("bob")), "phone", 0).expect("gone for less than a day");
}

#[test]
fn the_operator_registers_users_by_the_rules_for_names() {
    let mut rig = Rig::new();
    rig.guest("bob");
    let ann = rig.admin().add_user("Ann", "hash").unwrap();
    assert_eq!(rig.login(password(ann, "hash"), "phone", 1).unwrap().user, ann);
    for name in ["ann", "bob", "all", "guest7", "a  b", ""] {
        assert!(matches!(rig.admin().add_user(name, "hash"), Err(AdminError::Refused(_))), "{name}");
    }
    let rows = rig.admin().users().unwrap();
    let rows: Vec<_> = rows.iter().map(|row| (&*row.name, row.is_guest, row.last_seen)).collect();
    assert_eq!(rows, [("bob", true, None), ("Ann", false, None)]);
}

#[test]
fn a_new_password_ends_all_sessions() {
    let mut rig = Rig::new();
    let ann = rig.user("ann", "old");
    let (done, chores) = rig.command(|admin| admin.set_password("Ann", "new"));
    assert_eq!((done.unwrap(), chores.ended), (Effect::Now, vec![(ann, Farewell::Kicked)]));
    for who in [rig.token(token_of("ann")), password(ann, "old")] {
        assert_eq!(rig.login(who, "phone", 9).unwrap_err().code, Code::Unauthenticated);
    }
    rig.login(password(ann, "new"), "phone", 9).unwrap();
    rig.guest("bob");
    for name in ["bob", "nobody", "assistant"] {
        let (done, _) = rig.command(|admin| admin.set_password(name, "new"));
        assert!(matches!(done, Err(AdminError::NoUser(_))), "{name}");
    }
}

#[test]
fn who_is_disabled_cannot_log_in_until_enabled() {
    let mut rig = Rig::new();
    let ann = rig.user("ann", "hash");
    let (done, chores) = rig.command(|admin| admin.disable("ann"));
    assert_eq!((done.unwrap(), chores.ended), (Effect::Now, vec![(ann, Farewell::Kicked)]));
    assert_eq!(rig.store.account("ann").unwrap().unwrap().password, None);
    for who in [rig.token(token_of("ann")), password(ann, "hash")] {
        assert_eq!(rig.login(who, "phone", 9).unwrap_err().code, Code::Unauthenticated);
    }
    rig.admin().enable("ann").unwrap();
    rig.login(password(ann, "hash"), "phone", 9).unwrap();
}

#[test]
fn sessions_are_listed_and_ended() {
    let mut rig = Rig::new();
    let ann = rig.user("ann", "hash");
    rig.pass(SECOND);
    rig.login(password(ann, "hash"), "laptop", 2).unwrap();
    let devices = |rig: &Rig| {
        let sessions = rig.admin().sessions("ann").unwrap().into_iter();
        sessions.map(|session| (session.device.into(), session.last_used)).collect::<Vec<(String, _)>>()
    };
    assert_eq!(devices(&rig), [("laptop".to_owned(), DAWN + SECOND), ("phone".to_owned(), DAWN)]);
    let (done, chores) = rig.command(|admin| admin.end_sessions("ann"));
    assert_eq!((done.unwrap(), chores.ended), (Effect::Now, vec![(ann, Farewell::Kicked)]));
    assert_eq!(devices(&rig), []);
    assert_eq!(rig.login(rig.token(token_of("ann")), "phone", 9).unwrap_err().code, Code::Unauthenticated);
    rig.login(password(ann, "hash"), "phone", 9).unwrap();
}

#[test]
fn a_banned_user_is_told_so_behind_the_right_secret_only() {
    let mut rig = Rig::new();
    let ann = rig.user("ann", "hash");
    let ban = Ban { until: Some(DAWN + MINUTE), ..forever() };
    let (done, chores) = rig.command(|admin| admin.ban(&whom("ANN"), &ban));
    assert_eq!(done.unwrap(), Effect::Now);
    assert!(matches!(&chores.ended[..], [(who, Farewell::Banned(_))] if *who == ann), "{chores:?}");
    for who in [rig.token(token_of("ann")), password(ann, "hash")] {
        let refusal = rig.login(who, "phone", 9).unwrap_err();
        assert_eq!((refusal.code, refusal.retry_ms), (Code::Banned, 60_001));
        assert!(refusal.text.contains("noise"), "{refusal}");
    }
    for who in [rig.token(0), password(ann, "other")] {
        assert_eq!(rig.login(who, "phone", 9).unwrap_err().code, Code::Unauthenticated);
    }
    rig.pass(MINUTE);
    rig.login(rig.token(token_of("ann")), "phone", 9).expect("the ban is over, and the token good");
}

#[test]
fn bans_are_listed_replaced_and_removed() {
    let mut rig = Rig::new();
    rig.user("ann", "hash");
    let admit = |rig: &Rig, address: &str| {
        let bans = rig.store.bans().unwrap();
        bans.admit(address.parse().unwrap(), DAWN).is_ok()
    };
    for who in ["ann", "192.0.2.0/24", "192.0.2.9/24"] {
        let (done, _) = rig.command(|admin| admin.ban(&whom(who), &forever()));
        assert_eq!(done.unwrap(), Effect::Now);
    }
    assert!(!admit(&rig, "192.0.2.1") && admit(&rig, "192.0.3.1"));
    let listed = |rig: &Rig| {
        let bans = rig.admin().bans().unwrap().into_iter();
        bans.map(|ban| (ban.whom.into(), ban.is_user)).collect::<Vec<(String, _)>>()
    };
    assert_eq!(listed(&rig), [("ann".to_owned(), true), ("192.0.2.0/24".to_owned(), false)]);
    for (who, left) in [("192.0.2.0/24", 1), ("Ann", 0)] {
        let (done, _) = rig.command(|admin| admin.unban(&whom(who)));
        assert_eq!((done.unwrap(), listed(&rig).len()), (Effect::Now, left));
        let (done, _) = rig.command(|admin| admin.unban(&whom(who)));
        assert!(matches!(done, Err(AdminError::NoBan)));
    }
    assert!(admit(&rig, "192.0.2.1"));
    rig.login(rig.token(token_of("ann")), "phone", 9).unwrap();
    let (done, _) = rig.command(|admin| admin.ban(&whom("nobody"), &forever()));
    assert!(matches!(done, Err(AdminError::NoUser(_))));
    let (done, _) = rig.command(|admin| admin.ban(&whom("ann"), &Ban { reason: "a\nb".into(), ..forever() }));
    assert!(matches!(done, Err(AdminError::Refused(_))));
}

#[test]
fn commands_need_no_server_and_are_carried_out_at_the_next_start() {
    let mut rig = Rig::new();
    let ann = rig.user("ann", "hash");
    let tea = rig.join(ann, "tea", None).chat;
    let Rig { store, now, dir, .. } = rig;
    drop(store);
    let clock = options(dir.path().to_owned(), &now).clock;
    let mut admin = Admin::open(dir.path(), clock).unwrap();
    assert_eq!(admin.delete("ann").unwrap(), Effect::Now);
    drop(admin);
    let mut rig = Rig::on(dir, now);
    rig.start();
    assert!(rig.store.due_chores(rig.time()).unwrap().is_some());
    let chores = rig.chores();
    assert_eq!(chores.left.iter().map(|left| left.chat).collect::<Vec<_>>(), [tea]);
    assert!(rig.store.due_chores(rig.time()).unwrap().is_none());
}

#[test]
fn a_folder_without_data_is_left_alone_unless_it_is_to_be_made() {
    let dir = tempfile::tempdir().unwrap();
    let clock = || -> crate::store::sqlite::Clock { Arc::new(|| DAWN) };
    assert!(matches!(Admin::open(dir.path(), clock()), Err(AdminError::NoData(_))));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    Admin::open_or_make(dir.path(), clock()).unwrap().add_user("ann", "hash").unwrap();
    assert_eq!(Admin::open(dir.path(), clock()).unwrap().users().unwrap().len(), 1);
}

#[test]
fn a_server_that_does_not_act_is_not_waited_for_for_ever() {
    let mut rig = Rig::new();
    rig.user("ann", "hash");
    assert_eq!(rig.admin().disable("ann").unwrap(), Effect::Later);
}
