//! Stands between clients and a server, whose address may change, and cuts connections where it is told to.

use super::random::Random;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What that is, unless a test says otherwise.
const CUT_WITHIN: usize = 10_000;

/// A proxy with an address of its own. It ends with the runtime.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: Mutex<SocketAddr>,
    random: Mutex<Random>,
    cuts: AtomicBool,
    /// A connection is cut behind so many bytes at most, both ways counted.
    within: AtomicUsize,
    count: AtomicUsize,
}

impl Proxy {
    pub async fn start(target: SocketAddr, random: Random) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            random: Mutex::new(random),
            cuts: AtomicBool::new(false),
            within: AtomicUsize::new(CUT_WITHIN),
            count: AtomicUsize::new(0),
        });
        let accepting = shared.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, accepting.clone()));
            }
        });
        Proxy { address, shared }
    }

    /// The server is there now.
    pub fn leads_to(&self, target: SocketAddr) {
        *self.shared.target.lock().unwrap() = target;
    }

    /// From now on connections are cut at random points, or no more.
    pub fn cuts(&self, cuts: bool) {
        self.shared.cuts.store(cuts, Ordering::SeqCst);
    }

    /// New connections live for so many bytes at most.
    pub fn cuts_within(&self, bytes: usize) {
        self.shared.within.store(bytes, Ordering::SeqCst);
    }

    /// How many were cut.
    pub fn count(&self) -> usize {
        self.shared.count.load(Ordering::SeqCst)
    }
}

async fn pass(mut client: TcpStream, shared: Arc<Shared>) {
    let target = *shared.target.lock().unwrap();
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let mut left = shared.random.lock().unwrap().below(shared.within.load(Ordering::SeqCst));
    let (mut up, mut down) = ([0; 1500], [0; 1500]);
    loop {
        let (bytes, to) = tokio::select! {
            read = client.read(&mut up) => match read {
                Ok(read) if read > 0 => (&up[..read], &mut server),
                _ => return,
            },
            read = server.read(&mut down) => match read {
                Ok(read) if read > 0 => (&down[..read], &mut client),
                _ => return,
            },
        };
        let cut = shared.cuts.load(Ordering::SeqCst) && bytes.len() > left;
        let passed = if cut { &bytes[..left] } else { bytes };
        if to.write_all(passed).await.is_err() {
            return;
        }
        if cut {
            shared.count.fetch_add(1, Ordering::SeqCst);
            return;
        }
        left = left.saturating_sub(passed.len());
    }
}
