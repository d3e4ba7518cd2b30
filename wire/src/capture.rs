//! Reads a capture, pcap or pcapng, into TCP segments. What else is in it is passed over.

use crate::dump;
use crate::error::Error;
use crate::record::APPLICATION;
use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice};
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::SectionHeaderOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// What a pcapng file begins with.
const PCAPNG: [u8; 4] = [0x0A, 0x0D, 0x0D, 0x0A];
/// Nanoseconds a second.
const NANOS: u128 = 1_000_000_000;

/// A part of one side's bytes.
#[derive(Debug)]
pub(crate) struct Segment<'a> {
    /// Since 1970.
    pub at: Duration,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub seq: u32,
    pub syn: bool,
    pub ack: bool,
    pub fin: bool,
    pub rst: bool,
    pub bytes: &'a [u8],
    /// Whether every connection of the file is Chatwire's, since `wire tap` made it.
    pub is_ours: bool,
}

/// Gives every segment of a capture, `-` for stdin, in its order.
pub(crate) fn read(path: &Path, tell: &mut dyn FnMut(Segment<'_>) -> Result<(), Error>) -> Result<(), Error> {
    let mut input = BufReader::new(dump::open(path)?);
    let begin = input.fill_buf().map_err(Error::file(path))?;
    let is_pcapng = begin.starts_with(&PCAPNG);
    let read = if is_pcapng { read_pcapng(input, tell) } else { read_pcap(input, tell) };
    read.map_err(|error| match error {
        Error::Usage(what) => Error::Usage(format!("{}: {what}", path.display())),
        other => other,
    })
}

fn read_pcap(input: impl Read, tell: &mut dyn FnMut(Segment<'_>) -> Result<(), Error>) -> Result<(), Error> {
    let mut reader = PcapReader::new(input).map_err(|_| no_capture())?;
    let link = reader.header().datalink;
    while let Some(packet) = reader.next_packet() {
        let Some(packet) = unless_cut(packet)? else { break };
        if let Some(segment) = segment(link, &packet.data, packet.timestamp, false) {
            tell(segment)?;
        }
    }
    Ok(())
}

fn read_pcapng(
    input: impl Read,
    tell: &mut dyn FnMut(Segment<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut reader = PcapNgReader::new(input).map_err(|_| no_capture())?;
    let is_ours =
        reader.section().options.iter().any(
            |option| matches!(option, SectionHeaderOption::UserApplication(name) if name == APPLICATION),
        );
    let mut interfaces: Vec<(DataLink, u128)> = Vec::new();
    while let Some(block) = reader.next_block() {
        let Some(block) = unless_cut(block)? else { break };
        match block {
            Block::SectionHeader(_) => interfaces.clear(),
            Block::InterfaceDescription(interface) => {
                interfaces.push((interface.linktype, units(&interface)));
            }
            Block::EnhancedPacket(packet) => {
                let interface = usize::try_from(packet.interface_id).ok().and_then(|id| interfaces.get(id));
                let Some(&(link, units)) = interface else { continue };
                if let Some(segment) = segment(link, &packet.data, time(&packet, units), is_ours) {
                    tell(segment)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Units of time a second: `if_tsresol` is a power of ten, or of two if its highest bit is set; else microseconds.
fn units(interface: &InterfaceDescriptionBlock<'_>) -> u128 {
    let resolution = interface.options.iter().find_map(|option| match option {
        InterfaceDescriptionOption::IfTsResol(resolution) => Some(*resolution),
        _ => None,
    });
    match resolution.unwrap_or(6) {
        power @ 0..=18 => 10_u128.pow(power.into()),
        power @ 0x80..=0xBF => 1 << (power & 0x7F),
        _ => 1_000_000,
    }
}

/// The reader takes every time for nanoseconds, whatever the interface says.
fn time(packet: &EnhancedPacketBlock<'_>, units: u128) -> Duration {
    let raw = packet.timestamp.as_nanos();
    let (seconds, rest) = (raw / units, raw % units);
    let nanos = u32::try_from(rest * NANOS / units).unwrap_or(0);
    Duration::new(u64::try_from(seconds).unwrap_or(0), nanos)
}

/// A capture whose last packet is cut, since it is still being written, ends before that.
fn unless_cut<T>(read: Result<T, PcapError>) -> Result<Option<T>, Error> {
    match read {
        Ok(item) => Ok(Some(item)),
        Err(PcapError::IncompleteBuffer) => Ok(None),
        Err(PcapError::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(PcapError::IoError(error)) => Err(error.into()),
        Err(error) => Err(Error::Usage(format!("the capture is damaged: {error}"))),
    }
}

fn no_capture() -> Error {
    Error::Usage("this is no capture: neither pcap nor pcapng".into())
}

fn segment(link: DataLink, packet: &[u8], at: Duration, is_ours: bool) -> Option<Segment<'_>> {
    let sliced = match link {
        DataLink::ETHERNET => LaxSlicedPacket::from_ethernet(packet).ok()?,
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => LaxSlicedPacket::from_ip(packet).ok()?,
        // Four bytes that say which kind of IP, which IP says, too.
        DataLink::NULL | DataLink::LOOP => LaxSlicedPacket::from_ip(packet.get(4..)?).ok()?,
        DataLink::LINUX_SLL => linux(packet, 14, 16)?,
        DataLink::LINUX_SLL2 => linux(packet, 0, 20)?,
        _ => return None,
    };
    let (source, target) = match sliced.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            (IpAddr::from(header.source_addr()), IpAddr::from(header.destination_addr()))
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            (IpAddr::from(header.source_addr()), IpAddr::from(header.destination_addr()))
        }
        LaxNetSlice::Arp(_) => return None,
    };
    let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { return None };
    Some(Segment {
        at,
        from: SocketAddr::new(source, tcp.source_port()),
        to: SocketAddr::new(target, tcp.destination_port()),
        seq: tcp.sequence_number(),
        syn: tcp.syn(),
        ack: tcp.ack(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        bytes: tcp.payload(),
        is_ours,
    })
}

/// A capture of "any" interface: the protocol stands at `protocol`, the packet behind `header` bytes.
fn linux(packet: &[u8], protocol: usize, header: usize) -> Option<LaxSlicedPacket<'_>> {
    let bytes = packet.get(protocol..protocol + 2)?;
    let ether_type = EtherType(u16::from_be_bytes([bytes[0], bytes[1]]));
    Some(LaxSlicedPacket::from_ether_type(ether_type, packet.get(header..)?))
}
