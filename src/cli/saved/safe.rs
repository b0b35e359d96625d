//! The rules that stand when the saved ones cannot be loaded: closed, but for what it takes to come in and mend them.

use std::fs;
use std::path::Path;

/// The port of SSH where sshd is not told another.
const SSH: u16 = 22;

/// Rules for both families: the loopback, connections that are there, SSH, and the ICMP that addresses and routes depend on. All else that comes
/// in or goes through is dropped; what goes out is not restricted.
pub fn rules(root: &Path) -> String {
    let mut text = String::from(
        "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n\
         -A INPUT -i lo -j ACCEPT\n\
         -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n",
    );
    for port in ssh_ports(root) {
        text += &format!("-A INPUT -p tcp -m tcp --dport {port} -j ACCEPT\n");
    }
    // DHCP's answers to a client, neighbours and routers (RFC 4890 §4.4), echo.
    text += "-A INPUT -p icmp -m icmp --icmp-type 8 -j ACCEPT\n\
             -4 -A INPUT -p udp -m udp --sport 67 --dport 68 -j ACCEPT\n\
             -6 -A INPUT -p udp -m udp --dport 546 -j ACCEPT\n";
    for kind in [1, 2, 3, 4, 128, 130, 131, 132, 133, 134, 135, 136, 143] {
        text += &format!("-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j ACCEPT\n");
    }
    text + "COMMIT\n"
}

/// The ports that sshd listens on, by its configuration (sshd_config(5), `Port`, `ListenAddress`); 22 if it names none.
fn ssh_ports(root: &Path) -> Vec<u16> {
    let mut ports = Vec::new();
    let more = fs::read_dir(root.join("etc/ssh/sshd_config.d")).into_iter().flatten().flatten().map(|e| e.path());
    for path in std::iter::once(root.join("etc/ssh/sshd_config")).chain(more) {
        for line in fs::read_to_string(path).unwrap_or_default().lines() {
            let mut words = line.split([' ', '\t', '=']).filter(|word| !word.is_empty());
            let port: Option<u16> = match words.next().map(str::to_ascii_lowercase).as_deref() {
                Some("port") => words.next().and_then(|port| port.parse().ok()),
                Some("listenaddress") => words.next().and_then(|address| {
                    let (host, port) = address.rsplit_once(':')?;
                    (!host.contains(':') || host.ends_with(']')).then(|| port.parse().ok())?
                }),
                _ => None,
            };
            ports.extend(port.filter(|port| *port != 0));
        }
    }
    ports.sort_unstable();
    ports.dedup();
    if ports.is_empty() { vec![SSH] } else { ports }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_sshd() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(ssh_ports(root.path()), [22]);
        let ssh = root.path().join("etc/ssh");
        fs::create_dir_all(ssh.join("sshd_config.d")).unwrap();
        fs::write(
            ssh.join("sshd_config"),
            "#Port 22\nPort 2222\nListenAddress 0.0.0.0\nListenAddress [::1]:2200\nListenAddress ::1\n",
        )
        .unwrap();
        fs::write(ssh.join("sshd_config.d/x.conf"), "port=22\n").unwrap();
        assert_eq!(ssh_ports(root.path()), [22, 2200, 2222]);
    }
}
