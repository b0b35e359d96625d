# CNI plug-ins bridge (masquerade), portmap and firewall, through go-iptables: ADD, CHECK, DEL, DEL again.
. /mnt/cases/steps
has /usr/lib/cni/portmap 'Debian containernetworking-plugins'
export CNI_PATH=/usr/lib/cni CNI_CONTAINERID=c0ffee CNI_IFNAME=eth0 CNI_NETNS=/run/netns/inner
ip netns add inner
echo 1 >/proc/sys/net/ipv4/ip_forward || true
# plugin NAME COMMAND JSON: one call; what ADD answers becomes the next call's prevResult
plugin() {
  printf '{"cniVersion": "0.4.0", "name": "lab", "type": "%s"%s%s}' "$1" "$3" "${result:+, \"prevResult\": $result}" |
    CNI_COMMAND=$2 "/usr/lib/cni/$1" | sed 's/\([0-9a-f]\{2\}:\)\{5\}[0-9a-f]\{2\}/MAC/; s/veth[0-9a-f]*/VETH/'
}
bridge=', "bridge": "cni0", "isGateway": true, "ipMasq": true, "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}], [{"subnet": "2001:db8:88::/64"}]]}'
ports=', "capabilities": {"portMappings": true}, "runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}, {"hostPort": 8053, "containerPort": 53, "protocol": "udp"}, {"hostPort": 8443, "containerPort": 443, "protocol": "tcp", "hostIP": "192.0.2.1"}]}, "snat": true'
limited=$ports', "conditionsV4": ["!", "-s", "10.9.0.0/16"], "conditionsV6": ["!", "-s", "2001:db8:9::/64"]'
wall=', "backend": "iptables", "iptablesAdminChainName": "ADMIN", "ingressPolicy": "same-bridge"'
result=
step plugin bridge ADD "$bridge"
rule 'MASQUERADE'
result=$(sed -n '/^{/,$p' /tmp/.said | sed 's/MAC/02:00:00:00:00:01/; s/VETH/veth0/')
step plugin portmap ADD "$ports"
rule '-j CNI-HOSTPORT-DNAT'
step plugin portmap CHECK "$ports"
CNI_CONTAINERID=decaf step plugin portmap ADD "$limited"
step plugin firewall ADD "$wall"
rule ADMIN
step plugin firewall ADD "$wall"
step plugin firewall CHECK "$wall"
step plugin firewall DEL "$wall"
step plugin firewall DEL "$wall"
step plugin portmap DEL "$ports"
step plugin portmap CHECK "$ports"
CNI_CONTAINERID=decaf step plugin portmap DEL "$limited"
result=
step plugin bridge DEL "$bridge"
step plugin bridge DEL "$bridge"
