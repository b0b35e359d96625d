# libvirt's virtual networks: its own chains at the start, networks with NAT, routed, isolated and with ports, stop, reload, restart.
. /mnt/cases/steps
has libvirtd 'Debian libvirt-daemon'
has virsh 'Debian libvirt-clients'
getent passwd dnsmasq >/dev/null || echo 'dnsmasq:x:903:65534::/:/bin/false' >>/etc/passwd
# networks only
rm -f /usr/lib/*/libvirt/connection-driver/libvirt_driver_qemu.so
getent group libvirt >/dev/null || echo 'libvirt:x:902:' >>/etc/group
start() {
  libvirtd >/tmp/libvirtd.log 2>&1 &
  for _ in $(seq 200); do
    virsh -q -c network:///system net-list >/dev/null 2>&1 && return 0
    sleep 0.1
  done
  cat /tmp/libvirtd.log
  return 1
}
stop() { kill "$!" && wait; }
net() { virsh -q -c network:///system "$@"; }
network() {
  printf '<network><name>%s</name>%s<bridge name="%s"/>%s</network>' "$1" "$2" "virbr-$1" "$3" >"/tmp/$1.xml"
  net net-define "/tmp/$1.xml" && net net-start "$1" && settle
}
v4='<ip address="192.168.100.1" netmask="255.255.255.0"><dhcp><range start="192.168.100.2" end="192.168.100.99"/></dhcp></ip>'
v6='<ip family="ipv6" address="2001:db8:ca2:2::1" prefix="64"/>'
ok start
ok network plain '<forward mode="nat"/>' "$v4"
rule LIBVIRT_PRT
rule '-j CHECKSUM --checksum-fill'
ok network ports '<forward mode="nat" dev="eth9"><nat ipv6="yes"><port start="5000" end="6000"/></nat></forward>' "${v4//100/101}$v6"
ok network routed '<forward mode="route"/>' "${v4//100/102}"
ok network open '<forward mode="open"/>' "${v4//100/103}"
ok network alone '' "${v4//100/104}"
step net net-list
for name in routed open plain alone; do ok net net-destroy "$name"; done
# somebody flushes behind its back; it puts all of it back when it is told to reload (of several networks in no certain order)
iptables -F
iptables -t nat -F
reload() { kill -HUP "$!" && sleep 0.5 && settle; }
ok reload
rule '192.168.101.0/24'
ok net net-destroy ports
ok stop
