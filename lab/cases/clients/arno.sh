# arno-iptables-firewall: start, status, restart, stop, with open ports, NAT and a blocked host.
. /mnt/cases/steps
has arno-iptables-firewall 'Debian arno-iptables-firewall'
cat >/etc/arno-iptables-firewall/conf.d/50lab.conf <<'CONF'
EXT_IF="eth0"
EXT_IF_DHCP_IP=0
INT_IF="eth1"
INTERNAL_NET="10.0.0.0/24"
INTERNAL_NET_ADDRESS="10.0.0.1"
NAT=1
NAT_FORWARD_TCP="8080>10.0.0.2~80"
OPEN_TCP="22 80,443 8000:8010"
OPEN_UDP="53"
OPEN_ICMP=1
HOST_OPEN_TCP="198.51.100.0/24~3306"
HOST_DENY_TCP="203.0.113.0/24~25"
IPV6_SUPPORT=1
CONF
ip link add eth0 type veth peer name far0
ip link add eth1 type veth peer name far1
ip addr add 192.0.2.1/24 dev eth0
ip addr add 10.0.0.1/24 dev eth1
ip link set eth0 up
ip link set eth1 up
# without the time, and without the counters of packets that the kernel sends by itself
arno() {
  arno-iptables-firewall "$1" >/tmp/out 2>&1
  local code=$?
  sed 's/^[A-Z][a-z][a-z] [0-9 ]* [0-9:]* //; s/^ *[0-9]\+ \+[0-9]\+ //; s/[0-9]* packets, [0-9]* bytes//' /tmp/out
  return "$code"
}
step arno start
rule '--dport 8000:8010'
step arno status
step arno restart
step arno stop
