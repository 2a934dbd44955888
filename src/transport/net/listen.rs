//! Listening sockets: from what `--listen` says to bound ones.
//!
//! An IPv6 listener takes IPv6 only (`IPV6_V6ONLY`), whatever the system's default is, so that `[::]:5000` and
//! `0.0.0.0:5000` can be bound side by side and no peer has two kinds of address.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use log::info;
use socket2::{Domain, Socket, Type};

use super::BACKLOG;

const DEFAULT_PORT: u16 = 5000;

/// Binds what was asked for, each `ADDR:PORT`, `[ADDR]:PORT`, `[ADDR%SCOPE]:PORT`, `NAME:PORT` or `*:PORT`, which
/// means both families. Without any: the loopback addresses at port 5000. Where the system has no IPv6, `*` and the
/// default do without.
///
/// # Errors
/// A message for the operator that names the address.
pub fn listen(wanted: &[String]) -> Result<Vec<TcpListener>, String> {
    let mut listeners = Vec::new();
    if wanted.is_empty() {
        bind_both(&mut listeners, Ipv6Addr::LOCALHOST, Ipv4Addr::LOCALHOST, DEFAULT_PORT)?;
    }
    for text in wanted {
        let naming = |error: &dyn std::fmt::Display| format!("--listen {text}: {error}");
        let (host, port) = text.rsplit_once(':').ok_or_else(|| naming(&"there is no port"))?;
        let port = port.parse::<u16>().map_err(|error| naming(&error))?;
        if host == "*" {
            bind_both(&mut listeners, Ipv6Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED, port)?;
            continue;
        }
        // Only without its brackets does the resolver understand a scope.
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        for address in (host, port).to_socket_addrs().map_err(|error| naming(&error))? {
            listeners.push(bind(address).map_err(|error| in_words(address, &error))?);
        }
    }
    Ok(listeners)
}

/// Binds an address of each family to the same port.
fn bind_both(
    listeners: &mut Vec<TcpListener>,
    v6: Ipv6Addr,
    v4: Ipv4Addr,
    mut port: u16,
) -> Result<(), String> {
    let address = SocketAddr::from((v4, port));
    let listener = bind(address).map_err(|error| in_words(address, &error))?;
    if port == 0 {
        port = listener.local_addr().map_err(|error| in_words(address, &error))?.port();
    }
    listeners.push(listener);
    let address = SocketAddr::from((v6, port));
    match bind(address) {
        Ok(listener) => listeners.push(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(in_words(address, &error)),
        Err(error) => info!("no IPv6: {error}"),
    }
    Ok(())
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // As std does: a restarted server need not wait until its old connections are forgotten.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn in_words(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!("{address}: {error}; --listen ADDR:PORT chooses another"),
        _ => format!("{address}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(wanted: &str) -> Vec<SocketAddr> {
        let listeners = listen(&[wanted.into()]).unwrap_or_else(|problem| panic!("{problem}"));
        listeners.iter().map(|listener| listener.local_addr().expect("it is bound")).collect()
    }

    #[test]
    fn both_families_share_a_port_under_a_star_and_side_by_side() {
        let Ok(probe) = bind(SocketAddr::from((Ipv6Addr::LOCALHOST, 0))) else { return };
        drop(probe);
        let both = addresses("*:0");
        assert_eq!(both.len(), 2);
        assert_eq!(both[0].port(), both[1].port());
        assert!(both[0].is_ipv4() && both[1].is_ipv6());
        let four = bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).expect("a port is free");
        let port = four.local_addr().expect("it is bound").port();
        assert_eq!(addresses(&format!("[::]:{port}")), [SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))]);
    }

    #[test]
    fn scopes_are_understood_by_number_and_by_name() {
        // Loopback has no link-local address, so that these cannot be bound, but they are resolved.
        for scope in ["lo", "1"] {
            let problem = listen(&[format!("[fe80::1%{scope}]:0")]).expect_err("nobody has this address");
            assert!(problem.starts_with("[fe80::1%1]:0: "), "{problem}");
        }
    }

    #[test]
    fn what_cannot_be_resolved_is_named() {
        for wanted in ["[::1%nowhere]:0", "127.0.0.1:99999", "127.0.0.1"] {
            let problem = listen(&[wanted.into()]).expect_err("it makes no sense");
            assert!(problem.contains(wanted), "{problem}");
        }
    }
}
