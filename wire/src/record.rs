//! Writes what goes over connections into a capture (pcapng), as if it had been seen on a wire: each connection as TCP
//! over IP, with the real addresses and times, and sequence numbers of its own.
//!
//! So one file is for Wireshark, `wire pcap` and `wire replay` alike. Whether packets were lost or sent again is not in
//! it: whoever records at a proxy does not know.

use chatwire_codec::dump::Sender;
use etherparse::PacketBuilder;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, PcapError};
use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The application that a recording names: every connection in it is Chatwire's.
pub(crate) const APPLICATION: &str = "wire tap";
/// Bytes of payload in one packet: an IPv4 packet has at most 65,535 in all.
const SEGMENT: usize = 32 * 1024;
const TTL: u8 = 64;
const WINDOW: u16 = u16::MAX;
/// Times are in nanoseconds: units of 10^-9 seconds.
const RESOLUTION: u8 = 9;

/// A file of recorded connections.
pub(crate) struct Recorder(Mutex<PcapNgWriter<File>>);

/// One connection of a recording.
pub(crate) struct Track {
    client: SocketAddr,
    server: SocketAddr,
    /// The number of the next byte of each.
    from_client: u32,
    from_server: u32,
}

/// A packet without bytes of its own, or with some.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    Syn,
    SynAck,
    Data,
    Fin,
}

impl Recorder {
    pub(crate) fn create(path: &Path) -> io::Result<Recorder> {
        let application = SectionHeaderOption::UserApplication(APPLICATION.into());
        let section = SectionHeaderBlock { options: vec![application], ..SectionHeaderBlock::default() };
        let mut writer = PcapNgWriter::with_section_header(File::create(path)?, section).map_err(io_error)?;
        let resolution = InterfaceDescriptionOption::IfTsResol(RESOLUTION);
        let interface =
            InterfaceDescriptionBlock { linktype: DataLink::RAW, snaplen: 0, options: vec![resolution] };
        writer.write_pcapng_block(interface).map_err(io_error)?;
        Ok(Recorder(Mutex::new(writer)))
    }

    /// A connection is made.
    pub(crate) fn begin(&self, client: SocketAddr, server: SocketAddr, at: Duration) -> io::Result<Track> {
        let (client, server) = alike(client, server);
        let mut track = Track { client, server, from_client: 0, from_server: 0 };
        self.write(&mut track, Sender::Client, Flag::Syn, &[], at)?;
        self.write(&mut track, Sender::Server, Flag::SynAck, &[], at)?;
        Ok(track)
    }

    pub(crate) fn data(&self, track: &mut Track, from: Sender, bytes: &[u8], at: Duration) -> io::Result<()> {
        bytes.chunks(SEGMENT).try_for_each(|segment| self.write(track, from, Flag::Data, segment, at))
    }

    /// One side ends.
    pub(crate) fn end(&self, track: &mut Track, from: Sender, at: Duration) -> io::Result<()> {
        self.write(track, from, Flag::Fin, &[], at)
    }

    fn write(
        &self,
        track: &mut Track,
        from: Sender,
        flag: Flag,
        bytes: &[u8],
        at: Duration,
    ) -> io::Result<()> {
        let packet = track.packet(from, flag, bytes)?;
        let original_len = u32::try_from(packet.len()).map_err(io::Error::other)?;
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: at,
            original_len,
            data: packet.into(),
            options: Vec::new(),
        };
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_pcapng_block(block).map_err(io_error)?;
        writer.get_mut().flush()
    }
}

impl Track {
    fn packet(&mut self, from: Sender, flag: Flag, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let (source, target, seq, ack) = match from {
            Sender::Client => (self.client, self.server, self.from_client, self.from_server),
            Sender::Server => (self.server, self.client, self.from_server, self.from_client),
        };
        let step = match (source.ip(), target.ip()) {
            (IpAddr::V4(source), IpAddr::V4(target)) => {
                PacketBuilder::ipv4(source.octets(), target.octets(), TTL)
            }
            (source, target) => PacketBuilder::ipv6(v6(source).octets(), v6(target).octets(), TTL),
        };
        let tcp = step.tcp(source.port(), target.port(), seq, WINDOW);
        let tcp = match flag {
            Flag::Syn => tcp.syn(),
            Flag::SynAck => tcp.syn().ack(ack),
            Flag::Data => tcp.psh().ack(ack),
            Flag::Fin => tcp.fin().ack(ack),
        };
        let mut packet = Vec::with_capacity(tcp.size(bytes.len()));
        tcp.write(&mut packet, bytes).map_err(io::Error::other)?;
        let taken = u32::try_from(bytes.len()).map_err(io::Error::other)? + u32::from(flag != Flag::Data);
        match from {
            Sender::Client => self.from_client = seq.wrapping_add(taken),
            Sender::Server => self.from_server = seq.wrapping_add(taken),
        }
        Ok(packet)
    }
}

/// Both as IPv6 if one is: a packet has addresses of one kind.
fn alike(client: SocketAddr, server: SocketAddr) -> (SocketAddr, SocketAddr) {
    if client.is_ipv4() == server.is_ipv4() {
        return (client, server);
    }
    let mapped = |address: SocketAddr| SocketAddr::new(v6(address.ip()).into(), address.port());
    (mapped(client), mapped(server))
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn io_error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}
