//! `wire tap`: a proxy that lets everything through as it is, and shows and records it.
//!
//! Bytes go on before they are printed. If whoever reads that is slow, the connections become slow, and nothing is kept
//! or lost for it.

use crate::cli::{Tap, Trust};
use crate::conversation::Conversation;
use crate::endpoint::{Endpoint, Link, Sink};
use crate::error::Error;
use crate::output::Output;
use crate::record::{Recorder, Track};
use crate::show::View;
use chatwire_codec::dump::Sender;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Connections at once; who comes beyond them is turned away.
const MAX_CONNECTIONS: usize = 256;
/// Bytes that go on at once.
const CHUNK: usize = 64 * 1024;

pub(crate) fn run(wish: &Tap) -> Result<(), Error> {
    let endpoint = Endpoint::parse(&wish.to)?;
    let recorder = match &wish.record {
        Some(path) => Some(Recorder::create(path).map_err(Error::file(path))?),
        None => None,
    };
    let shared = Arc::new(Shared { view: wish.look.view(wish.format), output: Output::stdout(), recorder });
    let listener = TcpListener::bind(wish.listen)
        .map_err(|error| Error::Connect { server: wish.listen.to_string(), error })?;
    tell(&format!("listening on {}", listener.local_addr()?))?;
    let running = Arc::new(AtomicUsize::new(0));
    let mut threads = Vec::new();
    for number in 1..=wish.connections.unwrap_or(usize::MAX) {
        let (socket, _) = listener.accept()?;
        threads.retain(|thread: &std::thread::JoinHandle<()>| !thread.is_finished());
        if running.fetch_add(1, Ordering::SeqCst) >= MAX_CONNECTIONS {
            running.fetch_sub(1, Ordering::SeqCst);
            tell(&format!("#{number} turned away: {MAX_CONNECTIONS} connections are open"))?;
            continue;
        }
        let (endpoint, shared, running) = (endpoint.clone(), Arc::clone(&shared), Arc::clone(&running));
        let trust = Trust { ca: wish.trust.ca.clone(), insecure: wish.trust.insecure };
        threads.push(std::thread::spawn(move || {
            if let Err(error) = carry(number, &socket, &endpoint, &trust, &shared) {
                // If stderr is gone, there is nobody left to tell.
                let _ = tell(&format!("#{number} {error}"));
            }
            running.fetch_sub(1, Ordering::SeqCst);
        }));
    }
    for thread in threads {
        // A thread that panicked has told so itself.
        let _ = thread.join();
    }
    Ok(())
}

fn tell(words: &str) -> io::Result<()> {
    writeln!(io::stderr(), "wire: {words}")
}

/// What all connections have in common.
struct Shared {
    view: View,
    output: Output,
    recorder: Option<Recorder>,
}

/// One connection, as far as it is known.
struct Witness {
    conversation: Conversation,
    track: Option<Track>,
    /// What was noted and is not printed yet.
    shown: String,
}

fn carry(
    number: usize,
    client: &TcpStream,
    endpoint: &Endpoint,
    trust: &Trust,
    shared: &Arc<Shared>,
) -> Result<(), Error> {
    client.set_nodelay(true)?;
    let Link { reader, writer, peer, .. } = endpoint.connect(trust)?;
    let track = match &shared.recorder {
        Some(recorder) => Some(recorder.begin(client.peer_addr()?, peer, now())?),
        None => None,
    };
    let conversation = Conversation::new(number, &shared.view);
    let witness = Arc::new(Mutex::new(Witness { conversation, track, shown: String::new() }));
    let to_client: Box<dyn Sink> = Box::new(client.try_clone()?);
    let from_client = client.try_clone()?;
    let there = {
        let (shared, witness) = (Arc::clone(shared), Arc::clone(&witness));
        std::thread::spawn(move || pump(Sender::Client, from_client, writer, &shared, &witness))
    };
    let back = pump(Sender::Server, reader, to_client, shared, &witness);
    // The server has ended, so nothing that the client still says can have an answer.
    let _ = client.shutdown(Shutdown::Read);
    let there = there.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")));
    back.and(there).map_err(Error::Io)
}

/// Carries one direction to its end.
fn pump(
    from: Sender,
    mut input: impl Read,
    mut output: Box<dyn Sink>,
    shared: &Shared,
    witnessed: &Mutex<Witness>,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = match input.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // How one side broke off is passed on as an end.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
            read => read,
        };
        let (at, n) = (now(), read?);
        witness(from, &buffer[..n], at, shared, witnessed)?;
        // The other side may have gone; what this one has said was seen all the same.
        let sent = if n == 0 { output.finish() } else { output.write_all(&buffer[..n]) };
        show(shared, witnessed)?;
        if n == 0 || sent.is_err() {
            return Ok(());
        }
    }
}

/// Takes note of bytes before they go on, so that no answer is seen before its question. No bytes are the end.
fn witness(
    from: Sender,
    bytes: &[u8],
    at: Duration,
    shared: &Shared,
    witnessed: &Mutex<Witness>,
) -> io::Result<()> {
    let mut witness = witnessed.lock().unwrap_or_else(PoisonError::into_inner);
    let Witness { conversation, track, shown } = &mut *witness;
    if bytes.is_empty() {
        conversation.finish(from, at, &shared.view, shown);
    } else {
        conversation.feed(from, bytes, at, &shared.view, shown);
    }
    match (&shared.recorder, track) {
        (Some(recorder), Some(track)) if bytes.is_empty() => recorder.end(track, from, at),
        (Some(recorder), Some(track)) => recorder.data(track, from, bytes, at),
        _ => Ok(()),
    }
}

/// Shows what was noted, in its order.
fn show(shared: &Shared, witnessed: &Mutex<Witness>) -> io::Result<()> {
    let mut witness = witnessed.lock().unwrap_or_else(PoisonError::into_inner);
    shared.output.print(&witness.shown)?;
    witness.shown.clear();
    Ok(())
}

/// Since 1970; 0 on a machine whose clock stands before that.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
