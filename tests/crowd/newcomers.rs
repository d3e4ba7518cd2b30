//! Guests, who come one after the other: their tokens are good behind every crash, and no id is given twice.

use super::*;
use std::collections::HashSet;
use std::net::SocketAddr;

/// Of so many the last of a load are tried.
const TRIED: usize = 3;
/// Within this HELLO is to be said, or a little later.
const IN_TIME: Duration = Duration::from_secs(9);

/// All guests who ever came.
#[derive(Default)]
pub struct Newcomers {
    ids: HashSet<u64>,
    homes: HashSet<u64>,
    /// Who came in the last load: token, id, home.
    last: Vec<(String, u64, u64)>,
}

impl Newcomers {
    pub fn sender(&self, server: &Server) -> SocketAddr {
        server.address()
    }

    /// Guests, one after the other, until the server is gone or it is over.
    pub fn run(&mut self, address: &SocketAddr, world: &World) {
        self.last.clear();
        while !world.is_over()
            && let Ok(socket) = std::net::TcpStream::connect(address)
        {
            let begun = Instant::now();
            (world.pause)();
            let mut peer = Peer::on(socket);
            if !peer.try_send_bytes(&bytes_of(Peer::filled(Hello { flags: 1, ..Hello::default() }))) {
                return;
            }
            let Some((kind, payload)) = peer.next_raw() else { return };
            // Whose machine stood still meanwhile has said HELLO too late.
            if kind == kind::ERROR && (world.may_refuse || begun.elapsed() > IN_TIME) {
                continue;
            }
            assert_eq!(kind, kind::WELCOME, "{:?}", Frame::parse(kind, &payload));
            let me = Welcome::parse(&payload).unwrap();
            assert!(self.ids.insert(me.user), "user {} was there before", me.user);
            assert!(self.homes.insert(me.home), "chat {} was there before", me.home);
            self.last.push((me.token.to_owned(), me.user, me.home));
            world.answered();
        }
    }

    /// Who was let in is still known.
    pub fn check(&self, server: &Server) {
        for (token, user, home) in self.last.iter().rev().take(TRIED) {
            let peer = Peer::hello(server, Hello { auth: 2, secret: token, flags: 1, ..Hello::default() });
            assert_eq!((peer.me().user, peer.me().home), (*user, *home));
            peer.bye();
        }
    }
}
