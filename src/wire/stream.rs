//! A client's socket, of TCP, plain or with TLS, or in the file system, and how it goes from the greeting thread to a front thread.
//!
//! A socket is known to the runtime of one thread. To go to another one it leaves the first, also from underneath TLS,
//! whose state goes along.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};
use tokio_rustls::server::TlsStream;

/// What is underneath TLS: a socket, or one that is on its way.
#[derive(Debug)]
pub(super) enum Socket {
    Here(TcpStream),
    Moving(std::net::TcpStream),
    /// It could not be moved.
    Lost,
}

impl Socket {
    fn depart(&mut self) -> io::Result<()> {
        if let Socket::Here(stream) = std::mem::replace(self, Socket::Lost) {
            *self = Socket::Moving(stream.into_std()?);
        }
        Ok(())
    }

    fn arrive(&mut self) -> io::Result<()> {
        if let Socket::Moving(stream) = std::mem::replace(self, Socket::Lost) {
            *self = Socket::Here(TcpStream::from_std(stream)?);
        }
        Ok(())
    }

    fn here(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        match self {
            Socket::Here(stream) => Ok(Pin::new(stream)),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.here()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.here()?.poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.here()?.poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.here()?.poll_shutdown(cx)
    }
}

/// A client's connection on the thread that reads it.
pub(super) enum Stream {
    Plain(TcpStream),
    Local(UnixStream),
    Tls(Box<TlsStream<Socket>>),
}

/// A client's connection between two threads.
pub(super) enum Parcel {
    Plain(std::net::TcpStream),
    Local(std::os::unix::net::UnixStream),
    Tls(Box<TlsStream<Socket>>),
}

impl Stream {
    pub fn depart(self) -> io::Result<Parcel> {
        Ok(match self {
            Stream::Plain(stream) => Parcel::Plain(stream.into_std()?),
            Stream::Local(stream) => Parcel::Local(stream.into_std()?),
            Stream::Tls(mut stream) => {
                stream.get_mut().0.depart()?;
                Parcel::Tls(stream)
            }
        })
    }

    pub fn split(self) -> (Reader, Writer) {
        match self {
            Stream::Plain(stream) => {
                let (reader, writer) = stream.into_split();
                (Reader::Plain(reader), Writer::Plain(writer))
            }
            Stream::Local(stream) => {
                let (reader, writer) = stream.into_split();
                (Reader::Local(reader), Writer::Local(writer))
            }
            Stream::Tls(stream) => {
                let (reader, writer) = tokio::io::split(*stream);
                (Reader::Tls(reader), Writer::Tls(writer))
            }
        }
    }

    /// Reads some bytes to the end of a buffer; 0 is the end of the stream.
    pub async fn read(&mut self, buffer: &mut bytes::BytesMut) -> io::Result<usize> {
        use tokio::io::AsyncReadExt;
        match self {
            Stream::Plain(stream) => stream.read_buf(buffer).await,
            Stream::Local(stream) => stream.read_buf(buffer).await,
            Stream::Tls(stream) => stream.read_buf(buffer).await,
        }
    }

    /// Writes all of it, down to the network.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.write_all(bytes).await,
            Stream::Local(stream) => stream.write_all(bytes).await,
            Stream::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }
}

impl Parcel {
    pub fn arrive(self) -> io::Result<Stream> {
        Ok(match self {
            Parcel::Plain(stream) => Stream::Plain(TcpStream::from_std(stream)?),
            Parcel::Local(stream) => Stream::Local(UnixStream::from_std(stream)?),
            Parcel::Tls(mut stream) => {
                stream.get_mut().0.arrive()?;
                Stream::Tls(stream)
            }
        })
    }
}

/// The half that is read.
pub(super) enum Reader {
    Plain(tcp::OwnedReadHalf),
    Local(unix::OwnedReadHalf),
    Tls(ReadHalf<TlsStream<Socket>>),
}

impl AsyncRead for Reader {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Reader::Plain(reader) => Pin::new(reader).poll_read(cx, buffer),
            Reader::Local(reader) => Pin::new(reader).poll_read(cx, buffer),
            Reader::Tls(reader) => Pin::new(reader).poll_read(cx, buffer),
        }
    }
}

/// The half that is written.
#[derive(Debug)]
pub(super) enum Writer {
    Plain(tcp::OwnedWriteHalf),
    Local(unix::OwnedWriteHalf),
    Tls(WriteHalf<TlsStream<Socket>>),
}

impl Writer {
    /// Writes all of it, down to the network: TLS alone would keep what the socket does not take at once.
    #[inline]
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Writer::Plain(writer) => writer.write_all(bytes).await,
            Writer::Local(writer) => writer.write_all(bytes).await,
            Writer::Tls(writer) => {
                writer.write_all(bytes).await?;
                writer.flush().await
            }
        }
    }
}
