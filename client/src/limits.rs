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
/// Bytes read from the socket, or from a file, at once.
pub(crate) const READ_BYTES: usize = 64 * 1024;
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
