//! Every bound of the client: what it may hold, and how long it waits.

use std::time::Duration;

/// Messages sent and not yet answered. A sender beyond it waits.
pub const MESSAGES_IN_FLIGHT: usize = 256;
/// Requests asked and not yet answered. A caller beyond it waits.
pub const REQUESTS_PENDING: usize = 64;
/// PINGs of [`crate::Client::ping`] not yet answered.
pub const PINGS_PENDING: usize = 16;
/// Messages and requests that wait to be written.
pub const WRITE_QUEUE: usize = 64;
/// Bytes that are gathered for one write.
pub(crate) const WRITE_BYTES: usize = 64 * 1024;
/// Bytes of answers and SYNCs that may wait for the writer; PONGs beyond it are not sent.
pub(crate) const URGENT_BYTES: usize = 64 * 1024;
/// Bytes of events that wait for [`crate::Events::next`]. When it is full the client stops reading.
pub const EVENT_BYTES: u32 = 4 * 1024 * 1024;
/// Bytes that an event counts for besides its texts and bodies.
pub(crate) const EVENT_COST: u32 = 512;
/// Bytes of one page of history: the 1 MiB that a page has, and a last message that goes over it.
pub(crate) const PAGE_BYTES: usize = 2 * 1024 * 1024 + TEXT_BYTES as usize;
/// Messages of one page of history.
pub(crate) const PAGE_MESSAGES: u16 = 200;
/// The largest TEXT taken from a server, whatever WELCOME says, in bytes.
pub const TEXT_BYTES: u32 = 4 * 1024 * 1024;
/// Chats whose position is kept.
pub const CHATS: usize = 16 * 1024;
/// Chats whose SYNC is written behind HELLO in one piece, and nothing read meanwhile: the answers to so many
/// lie in any socket's buffer. The others follow WELCOME.
pub(crate) const OPENING_CHATS: usize = 512;
/// Bytes read from the socket, or from a file, at once.
pub(crate) const READ_BYTES: usize = 64 * 1024;
/// Bytes of media in one CHUNK that is sent.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes of an upload that are sent and not yet safe.
pub(crate) const UNCONFIRMED_BYTES: u64 = 1024 * 1024;
/// Uploads of one connection at once. A caller beyond it waits.
pub const UPLOADS: usize = 4;
/// The largest file that is sent in one frame, in bytes; a larger one is uploaded first, while others are sent.
pub const FRAME_FILE_BYTES: u64 = 1024 * 1024;
/// The shortest pause before an upload that was refused is tried again.
pub(crate) const UPLOAD_PAUSE: Duration = Duration::from_secs(1);
/// How often an upload is tried again that another device has taken over.
pub(crate) const UPLOAD_CONFLICTS: u32 = 5;
/// Pieces of fetched media, of up to 64 KiB, that wait to be written to their file.
pub(crate) const FETCH_QUEUE: usize = 4;
/// From the first byte to WELCOME, and for the TCP connection itself.
pub const CONNECT_TIME: Duration = Duration::from_secs(15);
/// From the end of the sending side to the end of the connection.
pub const CLOSE_TIME: Duration = Duration::from_secs(10);
/// Bytes of HELLO's payload.
pub(crate) const HELLO_BYTES: usize = 2 * 1024;
/// Bytes of the payload of TO, MEDIA or a request.
pub(crate) const REQUEST_BYTES: usize = 4 * 1024;
/// Bytes of a PING's payload.
pub(crate) const PING_BYTES: usize = 64;
/// Removals that are remembered while a page of messages is on its way. What is removed beyond them at that very
/// moment may stand on the page as it was.
pub(crate) const REMOVALS_NOTED: usize = 4096;
/// Messages that a [`crate::Steady`] keeps until they are confirmed. A sender beyond it waits.
pub const UNSENT_MESSAGES: usize = 1000;
/// Bytes of the texts among them. A sender beyond it waits.
pub const UNSENT_BYTES: usize = 16 * 1024 * 1024;
/// News that wait for [`crate::NewsFeed::next`], besides the [`EVENT_BYTES`] of the connection behind it.
pub const NEWS: usize = 16;
/// Steps that are kept for a storage that fails; more are made one.
pub(crate) const CHANGES: usize = 4096;
/// How long positions may wait to be saved: so much is told again after a crash, at most.
pub const POSITIONS_SAVED: Duration = Duration::from_millis(200);
/// Bytes of steps behind which a file of them is written anew.
pub const JOURNAL_BYTES: u64 = 1024 * 1024;
/// The largest file of steps that is read in.
pub const JOURNAL_MOST: u64 = 256 * 1024 * 1024;
/// The pause behind the first lost connection; each further one is twice as long.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(500);
/// The longest pause between tries, unless the server wants a longer one.
pub const BACKOFF_MOST: Duration = Duration::from_secs(30);
/// The longest pause that a server can ask for.
pub const RETRY_MOST: Duration = Duration::from_secs(3600);
/// A connection that lasts so long is a good one: the pauses begin anew behind it.
pub const STABLE_TIME: Duration = Duration::from_secs(10);
/// Addresses of one server.
pub const ADDRESSES: usize = 16;
