//! The first packets of a connection: SSL and GSS refused, cancel requests served, start-up read.
//!
//! Runs on the accepting thread, so that a cancel request never waits behind the statement that it is
//! meant to stop.

use bytes::BytesMut;
use pgwire::messages::cancel::CancelRequest;
use pgwire::messages::startup::{GssEncRequest, NegotiateProtocolVersion, SecretKey, SslRequest, Startup};
use pgwire::messages::{DecodeContext, Message, ProtocolVersion};
use std::collections::BTreeMap;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Start-up packets longer than this are refused, as in Postgres.
const STARTUP_BYTES_MAX: usize = 10_000;

/// A client that wants a session.
#[derive(Debug, Clone)]
pub struct Hello {
    /// Start-up parameters: user, database, options, settings.
    pub parameters: BTreeMap<String, String>,
    /// Bytes that came with the packet.
    pub rest: BytesMut,
}

impl Hello {
    /// The user's name.
    pub fn user(&self) -> &str {
        self.parameters.get("user").map_or("", String::as_str)
    }
    /// The database's name: the user's, if not given.
    pub fn database(&self) -> &str {
        match self.parameters.get("database") {
            Some(name) if !name.is_empty() => name,
            _ => self.user(),
        }
    }
}

/// What a fresh connection turned out to be.
#[derive(Debug)]
pub enum Greeting {
    /// A session is wanted.
    Session(Hello),
    /// A cancel request: process and secret. The connection ends.
    Cancel(i32, i32),
    /// Nonsense or the end of the stream.
    Nothing,
    /// A start-up packet that cannot be served, in a sentence.
    Refused(&'static str),
}

/// Reads up to the start-up packet.
pub async fn greet(stream: &mut TcpStream) -> io::Result<Greeting> {
    let mut buffer = BytesMut::with_capacity(1024);
    let context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
    loop {
        let length = loop {
            if let Some((length, _)) = buffer.split_first_chunk::<4>() {
                let length = i32::from_be_bytes(*length);
                if !(8..=STARTUP_BYTES_MAX as i32).contains(&length) {
                    return Ok(Greeting::Nothing);
                }
                if buffer.len() >= length as usize {
                    break length as usize;
                }
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(Greeting::Nothing);
            }
        };
        if SslRequest::is_ssl_request_packet(&buffer) || GssEncRequest::is_gss_enc_request_packet(&buffer) {
            if buffer.len() > 8 {
                // Bytes behind a request for encryption were injected or belong to a confused client.
                return Ok(Greeting::Nothing);
            }
            buffer.clear();
            stream.write_all(b"N").await?;
        } else if CancelRequest::is_cancel_request_packet(&buffer) {
            return Ok(match CancelRequest::decode(&mut buffer, &context) {
                Ok(Some(request)) => match request.secret_key {
                    SecretKey::I32(secret) => Greeting::Cancel(request.pid, secret),
                    SecretKey::Bytes(_) => Greeting::Nothing,
                },
                _ => Greeting::Nothing,
            });
        } else {
            return start(stream, &mut buffer, length, &context).await;
        }
    }
}

/// Reads the start-up packet itself.
async fn start(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    length: usize,
    context: &DecodeContext,
) -> io::Result<Greeting> {
    let mut packet = buffer.split_to(length);
    let Ok(Some(startup)) = Startup::decode(&mut packet, context) else {
        return Ok(Greeting::Refused("unsupported frontend protocol: this server supports 3.0"));
    };
    let (options, parameters): (BTreeMap<_, _>, BTreeMap<_, _>) =
        startup.parameters.into_iter().partition(|(name, _)| name.starts_with("_pq_."));
    if startup.protocol_number_minor > 0 || !options.is_empty() {
        let mut reply = BytesMut::new();
        let message = NegotiateProtocolVersion::new(0, options.into_keys().collect());
        if message.encode(&mut reply).is_ok() {
            stream.write_all(&reply).await?;
        }
    }
    if parameters.get("user").is_none_or(|user| user.is_empty()) {
        return Ok(Greeting::Refused("no PostgreSQL user name specified in startup packet"));
    }
    if parameters.contains_key("replication") {
        return Ok(Greeting::Refused("replication connections are not supported"));
    }
    Ok(Greeting::Session(Hello { parameters, rest: buffer.split() }))
}
