//! The first packets of a connection: TLS begun or refused, GSS refused, cancel requests served, start-up read.
//!
//! Runs on the accepting thread, so that a cancel request never waits behind the statement that it is
//! meant to stop.
//!
//! ```text
//!                 SSLRequest: S or N, GSSENCRequest: N
//!                          +------+
//!                          v      |
//!   connection ----------> packet ----> start-up: a session
//!        |                 ^      |---> cancel
//!        +--> handshake ---+      +---> nonsense: the end
//! ```

use super::stream::Stream;
use super::tls::{ClientTls, HANDSHAKE_BYTE};
use bytes::BytesMut;
use pgwire::messages::cancel::CancelRequest;
use pgwire::messages::startup::{GssEncRequest, NegotiateProtocolVersion, SecretKey, SslRequest, Startup};
use pgwire::messages::{DecodeContext, Message, ProtocolVersion};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Start-up packets longer than this are refused, as in Postgres.
const STARTUP_BYTES_MAX: usize = 10_000;

/// Where a client is, and how it came.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Its address; `None` where it came by the socket in the file system.
    pub address: Option<SocketAddr>,
    /// It is on this machine: a connection from an address to itself never leaves it.
    pub is_local: bool,
    /// It came over TLS.
    pub has_tls: bool,
    /// The hash of this server's certificate, where a proof of a password can be bound to it (RFC 5929).
    pub binding: Option<Arc<[u8]>>,
}

impl Origin {
    /// Where a fresh connection comes from.
    fn of(stream: &Stream) -> io::Result<Origin> {
        let Stream::Plain(stream) = stream else {
            return Ok(Origin { address: None, is_local: true, has_tls: false, binding: None });
        };
        let (address, own) = (stream.peer_addr()?, stream.local_addr()?);
        let plain = |address: SocketAddr| match address.ip() {
            IpAddr::V6(ip) => ip.to_canonical(),
            ip => ip,
        };
        let (ip, own) = (plain(address), plain(own));
        Ok(Origin { address: Some(address), is_local: ip.is_loopback() || ip == own, has_tls: false, binding: None })
    }
}

/// A client that wants a session.
#[derive(Debug, Clone)]
pub struct Hello {
    /// Where it is.
    pub origin: Origin,
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

/// Reads up to the start-up packet; with `tls`, over TLS if the client wants that and comes over the network.
pub(super) async fn greet(stream: Stream, tls: Option<&ClientTls>) -> io::Result<(Stream, Greeting)> {
    let mut origin = Origin::of(&stream)?;
    let mut stream = match (stream, tls) {
        (Stream::Plain(plain), Some(tls)) if begins_with_handshake(&plain).await? => {
            secured(plain, tls, true, &mut origin).await?
        }
        (stream, _) => stream,
    };
    let mut buffer = BytesMut::with_capacity(1024);
    let context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
    loop {
        let Some(length) = packet(&mut stream, &mut buffer).await? else { return Ok((stream, Greeting::Nothing)) };
        let wants_tls = SslRequest::is_ssl_request_packet(&buffer);
        if wants_tls || GssEncRequest::is_gss_enc_request_packet(&buffer) {
            if buffer.len() > 8 {
                // Bytes behind a request for encryption were injected or belong to a confused client.
                return Ok((stream, Greeting::Nothing));
            }
            buffer.clear();
            stream = match (stream, tls) {
                (Stream::Plain(mut plain), Some(tls)) if wants_tls => {
                    plain.write_all(b"S").await?;
                    secured(plain, tls, false, &mut origin).await?
                }
                (mut stream, _) => {
                    stream.send(b"N").await?;
                    stream
                }
            };
        } else if CancelRequest::is_cancel_request_packet(&buffer) {
            let greeting = match CancelRequest::decode(&mut buffer, &context) {
                Ok(Some(request)) => match request.secret_key {
                    SecretKey::I32(secret) => Greeting::Cancel(request.pid, secret),
                    SecretKey::Bytes(_) => Greeting::Nothing,
                },
                _ => Greeting::Nothing,
            };
            return Ok((stream, greeting));
        } else {
            let greeting = start(&mut stream, &mut buffer, length, &context, origin).await?;
            return Ok((stream, greeting));
        }
    }
}

/// Whether a client begins with TLS without asking (libpq's `sslnegotiation=direct`).
async fn begins_with_handshake(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    Ok(stream.peek(&mut first).await? == 1 && first[0] == HANDSHAKE_BYTE)
}

async fn secured(stream: TcpStream, tls: &ClientTls, at_once: bool, origin: &mut Origin) -> io::Result<Stream> {
    let stream = tls.accept(stream, at_once).await?;
    (origin.has_tls, origin.binding) = (true, tls.end_point());
    Ok(stream)
}

/// Reads until a packet is whole; its length, or `None` if it is none.
async fn packet(stream: &mut Stream, buffer: &mut BytesMut) -> io::Result<Option<usize>> {
    loop {
        if let Some((length, _)) = buffer.split_first_chunk::<4>() {
            let length = i32::from_be_bytes(*length);
            if !(8..=STARTUP_BYTES_MAX as i32).contains(&length) {
                return Ok(None);
            }
            if buffer.len() >= length as usize {
                return Ok(Some(length as usize));
            }
        }
        if stream.read(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// Reads the start-up packet itself.
async fn start(
    stream: &mut Stream,
    buffer: &mut BytesMut,
    length: usize,
    context: &DecodeContext,
    origin: Origin,
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
            stream.send(&reply).await?;
        }
    }
    if parameters.get("user").is_none_or(|user| user.is_empty()) {
        return Ok(Greeting::Refused("no PostgreSQL user name specified in startup packet"));
    }
    if parameters.contains_key("replication") {
        return Ok(Greeting::Refused("replication connections are not supported"));
    }
    Ok(Greeting::Session(Hello { origin, parameters, rest: buffer.split() }))
}
