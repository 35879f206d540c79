//! The socket in the file system: `.s.PGSQL.<port>`, where clients of PostgreSQL look for one.
//!
//! It spares both sides the network's share of the work: measured with small statements, a third of what an answer costs
//! the machine. Whoever may enter its directory may connect, as whoever is on the machine may by loopback.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A socket that is listened on; its file goes with it.
#[derive(Debug)]
pub struct LocalSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl LocalSocket {
    /// Where clients look that are told a directory and a port.
    pub fn path(directory: &Path, port: u16) -> PathBuf {
        directory.join(format!(".s.PGSQL.{port}"))
    }

    /// Makes it. The file of a server that died is replaced.
    ///
    /// # Errors
    /// `AddrInUse` where somebody listens there; the operating system's, as for a path of more than 107 bytes or a
    /// directory that is not there.
    pub fn bind(directory: &Path, port: u16) -> io::Result<LocalSocket> {
        let path = Self::path(directory, port);
        let listener = match UnixListener::bind(&path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(&path) => {
                std::fs::remove_file(&path)?;
                UnixListener::bind(&path)?
            }
            bound => bound?,
        };
        let socket = LocalSocket { listener, path };
        std::fs::set_permissions(&socket.path, std::fs::Permissions::from_mode(0o777))?;
        socket.listener.set_nonblocking(true)?;
        Ok(socket)
    }

    /// For the runtime of the calling thread.
    pub(super) fn listener(&self) -> io::Result<tokio::net::UnixListener> {
        tokio::net::UnixListener::from_std(self.listener.try_clone()?)
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "the socket's file could not be removed");
        }
    }
}

/// A socket's file behind which nobody listens.
fn is_abandoned(path: &Path) -> bool {
    // Other files refuse connections, too.
    std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_dead_server_is_replaced_and_that_of_a_living_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = LocalSocket::path(directory.path(), 5433);
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a listener leaves its file");
        let first = LocalSocket::bind(directory.path(), 5433).unwrap();
        assert_eq!(LocalSocket::bind(directory.path(), 5433).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        UnixStream::connect(&path).unwrap();
        drop(first);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = LocalSocket::path(directory.path(), 5433);
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(LocalSocket::bind(directory.path(), 5433).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        assert!(LocalSocket::bind(&directory.path().join("nowhere"), 5433).is_err());
    }
}
