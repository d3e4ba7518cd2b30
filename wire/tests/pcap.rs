//! `wire pcap`: captures as the world makes them, out of one that a tap recorded (tests/samples/session.pcapng).

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use pcap_file::DataLink;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::pcapng::{Block, PcapNgReader};
use serde_json::Value as Json;
use std::fs::File;
use std::path::Path;
use std::time::Duration;
use support::{Ran, wire};

const SESSION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/session.pcapng");

#[test]
fn a_capture_has_the_frames_of_every_connection() {
    let objects = wire(&["pcap", "--json", SESSION], b"").succeeded().objects();
    let of = |connection: u64, from: &str| -> Vec<String> {
        let frames = objects.iter().filter(|o| o["connection"] == connection && o["from"] == from);
        frames.map(|o| o["frame"].as_str().unwrap().to_string()).collect()
    };
    assert_eq!(of(1, "client")[..3], ["HELLO", "TEXT", "JOIN"]);
    assert_eq!(of(2, "server")[..2], ["WELCOME", "JOINED"]);
    assert!(objects.iter().all(|object| object.get("gap").is_none()));
}

#[test]
fn an_older_capture_on_ethernet_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session.pcap");
    write(&file, DataLink::ETHERNET, packets().into_iter().map(on_ethernet));
    assert_alike(&frames(&shown(&file)), &frames(&wire(&["pcap", "--json", SESSION], b"")));
}

#[test]
fn packets_that_are_lost_late_or_sent_again_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("disorder.pcap");
    let mut packets = packets();
    // Each two change places, but for the first that make a connection, and every third comes once more at the end.
    let is_syn = |packet: &(Duration, Vec<u8>)| packet.1[33] & 0x02 != 0;
    for i in (0..packets.len() - 1).step_by(2) {
        if !is_syn(&packets[i]) && !is_syn(&packets[i + 1]) {
            packets.swap(i, i + 1);
        }
    }
    let again: Vec<_> = packets.iter().step_by(3).filter(|packet| !is_syn(packet)).cloned().collect();
    let place = packets.len() - 6;
    packets.splice(place..place, again);
    write(&file, DataLink::RAW, packets);
    assert_alike(&sorted(frames(&shown(&file))), &sorted(frames(&wire(&["pcap", "--json", SESSION], b""))));
}

#[test]
fn what_was_not_captured_is_said_and_the_rest_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gap.pcap");
    let mut packets = packets();
    let has_data = |packet: &(Duration, Vec<u8>)| packet.1.len() > 40;
    let lost = packets.iter().enumerate().filter(|(_, p)| has_data(p)).nth(3).unwrap().0;
    packets.remove(lost);
    write(&file, DataLink::RAW, packets);
    let ran = shown(&file);
    let objects = ran.objects();
    assert_eq!(objects.iter().filter(|object| object.get("gap").is_some()).count(), 1, "{}", ran.out);
    assert!(objects.iter().any(|object| object["frame"] == "BYE"));
}

#[test]
fn other_connections_are_passed_over_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.pcap");
    let tcp = |payload: &[u8]| {
        let mut packet = Vec::new();
        let builder =
            etherparse::PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(50_000, 80, 1, 1000).ack(1);
        builder.write(&mut packet, payload).unwrap();
        (Duration::from_secs(1), packet)
    };
    write(&file, DataLink::RAW, [tcp(b"GET / HTTP/1.1\r\n")]);
    let ran = shown(&file);
    assert!(ran.out.is_empty() && ran.err.contains("1 other connections were passed over"), "{ran:?}");
    let ran = wire(&["pcap", "--json", "--port", "80", file.to_str().unwrap()], b"").succeeded();
    assert!(ran.out.contains("far_over_limit"), "{}", ran.out);
    let ran = wire(&["pcap", "Cargo.toml"], b"");
    assert!(ran.code == 2 && ran.err.contains("Cargo.toml: this is no capture"), "{}", ran.err);
}

fn shown(file: &Path) -> Ran {
    wire(&["pcap", "--json", file.to_str().unwrap()], b"").succeeded()
}

#[track_caller]
fn assert_alike(found: &[Json], expected: &[Json]) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}

/// The frames without the times at which they came.
fn frames(ran: &Ran) -> Vec<Json> {
    let mut objects = ran.objects();
    for object in &mut objects {
        for key in ["time", "latency_us", "answers"] {
            object.as_object_mut().unwrap().remove(key);
        }
    }
    objects
}

/// By connection, direction and place: between directions, and connections, the order depends on the packets'.
fn sorted(mut frames: Vec<Json>) -> Vec<Json> {
    frames.sort_by_key(|frame| {
        (frame["connection"].as_u64(), frame["from"].to_string(), frame["offset"].as_u64())
    });
    frames
}

/// The packets of the session, as IP.
fn packets() -> Vec<(Duration, Vec<u8>)> {
    let mut reader = PcapNgReader::new(File::open(SESSION).unwrap()).unwrap();
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.unwrap() {
            packets.push((packet.timestamp, packet.data.into_owned()));
        }
    }
    packets
}

fn on_ethernet((at, ip): (Duration, Vec<u8>)) -> (Duration, Vec<u8>) {
    let mut packet = [[2; 12].as_slice(), &[0x08, 0x00], &ip].concat();
    // Short frames are filled up on Ethernet.
    packet.resize(packet.len().max(60), 0);
    (at, packet)
}

fn write(path: &Path, datalink: DataLink, packets: impl IntoIterator<Item = (Duration, Vec<u8>)>) {
    let header = PcapHeader { datalink, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(File::create(path).unwrap(), header).unwrap();
    for (at, data) in packets {
        writer.write_packet(&PcapPacket::new(at, u32::try_from(data.len()).unwrap(), &data)).unwrap();
    }
}
