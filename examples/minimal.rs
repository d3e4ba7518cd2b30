//! The protocol by hand: a blocking socket and the codec, nothing else.
//!
//! Run: `cargo run --example minimal [-- 127.0.0.1:8000]`
//!
//! You will see `stored as message 1 of chat …`, then what the assistant answers to "Hello!".
#![allow(clippy::print_stdout, reason = "an example talks")]

use chatwire_codec::frame::{Bye, Frame, Hello, Pong, Text};
use chatwire_codec::{Decoder, Event, Limits, Payload, VERSION};
use std::io::{Read, Write};
use std::{error::Error, net::TcpStream, time::Duration};

fn main() -> Result<(), Box<dyn Error>> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    let mut socket = TcpStream::connect(addr)?;
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;

    // The text does not wait for WELCOME; without TO it goes to the home chat. Flag 2: replies are REPLY_TEXT.
    let (mut buffer, mut out) = (Vec::new(), Vec::new());
    Hello { version: VERSION, timezone: "UTC", flags: 2, ..Hello::default() }.encode(&mut out)?;
    Text { text: "Hello!" }.encode(&mut out)?;

    let mut decoder = Decoder::client(Limits::default());
    // The text's chat and seq, and what the content behind the last FROM answers.
    let (mut sent, mut answers) = ((0, 0), (0, 0));
    loop {
        socket.write_all(&out)?;
        out.clear();
        let mut input = &buffer[..];
        while let Some(event) = decoder.next(&mut input)? {
            match event {
                Event::Frame(Frame::Status(status)) => {
                    println!("stored as message {} of chat {}", status.seq, status.chat);
                    sent = (status.chat, status.seq);
                }
                Event::Frame(Frame::From_(from)) => answers = (from.chat, from.reply_to),
                Event::Frame(Frame::ReplyText(reply)) if answers == sent => {
                    println!("the assistant: {:?}", reply.said.text);
                    Bye::default().encode(&mut out)?;
                    return Ok(socket.write_all(&out)?);
                }
                Event::Frame(Frame::Ping(ping)) => Pong { bytes: ping.bytes }.encode(&mut out)?,
                Event::Frame(Frame::Error(error)) => return Err(error.said.text.into()),
                _ => {}
            }
        }
        let taken = buffer.len() - input.len();
        buffer.drain(..taken);
        let mut piece = [0; 4096];
        match socket.read(&mut piece)? {
            0 => return Err("the server closed the connection".into()),
            read => buffer.extend_from_slice(&piece[..read]),
        }
    }
}
