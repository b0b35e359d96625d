# netavark, podman's network program, through the Rust crate iptables: setup and teardown of a bridge with ports, twice.
. /mnt/cases/steps
has /usr/lib/podman/netavark 'Debian netavark'
export NETAVARK_FW=iptables
ip netns add inner
echo 1 >/proc/sys/net/ipv4/ip_forward || true
options() {
  cat <<JSON
{"container_id": "$1", "container_name": "$1", "port_mappings": [
  {"container_port": 80, "host_ip": "", "host_port": 8080, "protocol": "tcp", "range": 1},
  {"container_port": 5000, "host_ip": "192.0.2.1", "host_port": 5000, "protocol": "udp", "range": 10}],
 "networks": {"lab": {"static_ips": ["10.89.0.$2", "2001:db8:89::$2"], "aliases": [], "interface_name": "eth0", "static_mac": "02:00:00:00:00:0$2"}},
 "network_info": {"lab": {"name": "lab", "id": "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9", "driver": "bridge",
  "network_interface": "podman1", "subnets": [{"subnet": "10.89.0.0/24", "gateway": "10.89.0.1"}, {"subnet": "2001:db8:89::/64", "gateway": "2001:db8:89::1"}],
  "ipv6_enabled": true, "internal": false, "dns_enabled": false, "ipam_options": {"driver": "host-local"}}}}
JSON
}
netavark() { options "$2" "$3" | /usr/lib/podman/netavark "$1" "/run/netns/$4"; }
ip netns add other
step netavark setup first 2 inner
rule NETAVARK
step netavark setup second 3 other
step netavark teardown first 2 inner
step netavark teardown second 3 other
