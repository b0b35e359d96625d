# uruk: its example configuration, made and loaded, saved by uruk-save.
. /mnt/cases/steps
has uruk 'Debian uruk'
cat >/etc/uruk/rc <<'RC'
version=20120605
interfaces_unprotect="lo lo:"
interfaces="eth0 eth1"
ip_eth0_default=192.0.2.1
net_eth0_default=192.0.2.0/24
ip6_eth0_default=2001:db8::1
net6_eth0_default=2001:db8::/64
ips_eth0=default
services_eth0_default_tcp=local
ports_eth0_default_tcp_local="ssh http 8000:8010"
sources_eth0_default_tcp_local="198.51.100.0/24"
services_eth1_default_tcp=
services_eth0_default_udp=dns
ports_eth0_default_udp_dns=domain
sources_eth0_default_udp_dns=0/0
services6_eth0_default_tcp=www
ports_eth0_default_tcp_www=http
sources6_eth0_default_tcp_www=::/0
ip_eth1_default=10.0.0.1
net_eth1_default=10.0.0.0/8
ips_eth1=default
loglevel=60
RC
step uruk
rule '--dport 8000:8010'
step uruk
mkdir -p /var/lib/uruk/iptables /var/lib/uruk/ip6tables
ok uruk-save
