//! A memory limit of the operating system: a cgroup for one node, from its first start to the end of its story.
//!
//! Of version 1 (`memory.limit_in_bytes`) or 2 (`memory.max`), whichever this machine keeps memory with. The process puts
//! itself there before it becomes the node, so that nothing of it is outside.

use super::harness::evesql;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it is looked what is taken.
const LOOK: Duration = Duration::from_millis(50);
/// Where cgroups are found.
const MOUNT: &str = "/sys/fs/cgroup";

/// What the files of a version are called.
struct Names {
    limit: &'static str,
    /// With swapping: as much as without, or nothing.
    swap: &'static str,
    is_swap_counted_with: bool,
    /// Holds a line `oom_kill COUNT`.
    kills: &'static str,
    /// In `memory.stat`: what is not of files.
    anonymous: &'static str,
}

const FIRST: Names = Names {
    limit: "memory.limit_in_bytes",
    swap: "memory.memsw.limit_in_bytes",
    is_swap_counted_with: true,
    kills: "memory.oom_control",
    anonymous: "rss ",
};
const SECOND: Names = Names {
    limit: "memory.max",
    swap: "memory.swap.max",
    is_swap_counted_with: false,
    kills: "memory.events",
    anonymous: "anon ",
};

/// The limit of one node, and what was seen of it.
pub struct Limit {
    directory: PathBuf,
    names: &'static Names,
    watch: Option<JoinHandle<()>>,
    is_over: Arc<AtomicBool>,
    peak_bytes: Arc<AtomicU64>,
}

impl Limit {
    /// Makes a cgroup with a limit.
    ///
    /// # Panics
    /// Where that cannot be done: nothing may run here without its limit.
    pub fn new(name: &str, bytes: u64) -> Limit {
        let made = place().and_then(|(above, names)| {
            let directory = above.join(name);
            make(&directory, names, bytes).map_err(|error| {
                let _ = fs::remove_dir(&directory);
                format!("{}: {error}", directory.display())
            })?;
            Ok((directory, names))
        });
        let (directory, names) = made.unwrap_or_else(|reason| {
            panic!(
                "EVESQL_LARGE needs cgroups that limit memory, and leave to make them (root, on most machines): {reason}"
            )
        });
        let (is_over, peak_bytes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ends, peak, looked_at) = (is_over.clone(), peak_bytes.clone(), directory.clone());
        let watch = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let taken = number(&looked_at.join("memory.stat"), names.anonymous);
                peak.fetch_max(taken.unwrap_or(0), Ordering::Relaxed);
                std::thread::sleep(LOOK);
            }
        });
        Limit { directory, names, watch: Some(watch), is_over, peak_bytes }
    }

    /// The program, within the limit; its process id is the one of what is spawned.
    pub fn evesql(&self, arguments: &[&str]) -> Command {
        self.within(&evesql(arguments))
    }

    fn within(&self, command: &Command) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"echo $$ > "$0" && exec "$@""#]).arg(self.directory.join("cgroup.procs"));
        shell.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
        shell
    }

    /// How many processes were killed because they wanted more.
    pub fn kills(&self) -> u64 {
        number(&self.directory.join(self.names.kills), "oom_kill ").expect("the kernel counts its kills")
    }

    /// The most memory that was seen in use, that of files not counted: the kernel takes those back.
    pub fn peak_bytes(&self) -> u64 {
        self.peak_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.watch.take().map(JoinHandle::join);
        // Its last process may still be on its way out.
        for _ in 0..100 {
            if fs::remove_dir(&self.directory).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        eprintln!("{} stays behind", self.directory.display());
    }
}

/// The number after a word that begins a line.
fn number(file: &Path, word: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(word)?.trim().parse().ok())
}

fn make(directory: &Path, names: &Names, bytes: u64) -> std::io::Result<()> {
    fs::create_dir(directory)?;
    fs::write(directory.join(names.limit), bytes.to_string())?;
    let swap = directory.join(names.swap);
    // Missing where the kernel was made or started without accounting for swap.
    if swap.exists() {
        fs::write(swap, if names.is_swap_counted_with { bytes } else { 0 }.to_string())?;
    }
    Ok(())
}

/// Where a cgroup that limits memory can be made, as near to this process's own as possible.
fn place() -> Result<(PathBuf, &'static Names), String> {
    let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| format!("/proc/self/cgroup: {error}"))?;
    place_in(Path::new(MOUNT), &own)
}

fn place_in(mount: &Path, own: &str) -> Result<(PathBuf, &'static Names), String> {
    let of = |is_it: fn(&str) -> bool| {
        own.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            is_it(parts.next()?).then(|| parts.next())?
        })
    };
    let first = mount.join("memory");
    if first.join("memory.limit_in_bytes").exists() {
        let own = of(|controllers| controllers.split(',').any(|one| one == "memory")).unwrap_or("/");
        // In a container the path may be another one's.
        let near = first.join(own.trim_start_matches('/'));
        return Ok((if near.join("cgroup.procs").exists() { near } else { first }, &FIRST));
    }
    let own = mount.join(of(str::is_empty).unwrap_or("/").trim_start_matches('/'));
    // One that has processes cannot limit those below it, so it is made beside or above.
    let gives = |above: &&Path| {
        let given = fs::read_to_string(above.join("cgroup.subtree_control")).unwrap_or_default();
        above.starts_with(mount) && given.split_whitespace().any(|one| one == "memory")
    };
    match own.ancestors().find(gives) {
        Some(above) => Ok((above.into(), &SECOND)),
        None => {
            Err(format!("no cgroup above {} limits memory for those below it (cgroup.subtree_control)", own.display()))
        }
    }
}

#[test]
fn a_process_over_its_limit_is_killed_and_counted() {
    if !super::large::is_on() {
        eprintln!("only with EVESQL_LARGE=1");
        return;
    }
    let limit = Limit::new(&format!("evesql-{}-probe", std::process::id()), 16 << 20);
    let modest = limit.within(Command::new("sh").args(["-c", "true"])).status().unwrap();
    assert!(modest.success() && limit.kills() == 0);
    let greedy = r#"all=x; while :; do all="$all$all"; done"#;
    let ended = limit.within(Command::new("sh").args(["-c", greedy])).status().unwrap();
    assert!(!ended.success() && limit.kills() == 1, "{ended:?}");
}

#[test]
fn limits_are_made_where_the_kernel_takes_them() {
    let mount = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = mount.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let found = |own: &str| {
        place_in(mount.path(), own)
            .map(|(path, names)| (path.strip_prefix(mount.path()).unwrap().to_path_buf(), names.limit))
    };
    let second = "1:name=systemd:/x\n0::/user/app/own\n";
    assert!(found(second).unwrap_err().contains("cgroup.subtree_control"));
    write("cgroup.subtree_control", "cpu memory");
    assert_eq!(found(second), Ok(("".into(), "memory.max")));
    write("user/cgroup.subtree_control", "memory pids");
    write("user/app/cgroup.subtree_control", "pids");
    assert_eq!(found(second), Ok(("user".into(), "memory.max")));
    write("memory/memory.limit_in_bytes", "");
    assert_eq!(found("4:cpu:/c\n3:memory:/a/b\n0::/"), Ok(("memory".into(), "memory.limit_in_bytes")));
    write("memory/a/b/cgroup.procs", "");
    assert_eq!(found("4:cpu:/c\n3:memory:/a/b\n0::/"), Ok(("memory/a/b".into(), "memory.limit_in_bytes")));
}
