# ferm: a ruleset of both families, its dry run, shell output, reload, flush, and a rule that the kernel refuses (ferm rolls back).
. /mnt/cases/steps
has ferm 'Debian ferm'
# ferm takes the legacy programs where they are; this suite is about the others
rm -f /usr/sbin/*-legacy*
cat >/tmp/ferm.conf <<'CONF'
@def $NET = (192.0.2.0/24 198.51.100.0/24);
domain (ip ip6) table filter {
    chain INPUT {
        policy DROP;
        interface lo ACCEPT;
        mod state state INVALID DROP;
        mod conntrack ctstate (ESTABLISHED RELATED) ACCEPT;
        proto tcp dport (http https 8000:8010) ACCEPT;
        proto tcp dport ssh @subchain "ssh" { mod limit limit 3/min limit-burst 5 ACCEPT; LOG log-prefix "ssh: "; DROP; }
    }
    chain FORWARD policy DROP;
    chain OUTPUT { policy ACCEPT; mod owner uid-owner 0 ACCEPT; }
}
domain ip {
    table filter chain INPUT { saddr $NET proto udp dport (53 123) ACCEPT; proto icmp icmp-type echo-request ACCEPT; }
    table nat chain POSTROUTING outerface eth0 saddr $NET SNAT to 203.0.113.1;
    table nat chain PREROUTING interface eth0 proto tcp dport 8080 DNAT to "10.0.0.2:80";
    table mangle chain PREROUTING proto tcp mod multiport destination-ports (20 21) MARK set-mark 7;
}
CONF
step ferm --noexec --lines /tmp/ferm.conf
step ferm /tmp/ferm.conf
iptables -A INPUT -s 203.0.113.77 -j DROP
step ferm --noflush /tmp/ferm.conf
step ferm --slow /tmp/ferm.conf
echo 'table filter chain INPUT proto tcp MASQUERADE;' >/tmp/bad.conf
step ferm /tmp/bad.conf
step ferm --flush /tmp/ferm.conf
