//! The `evesql` program: parses the command line, wires the parts, runs and stops cleanly.

fn main() {
    std::process::exit(2);
}
