# lxc-net, LXC's bridge: start (with the checksum target for DHCP), start again, stop.
. /mnt/cases/steps
has /usr/libexec/lxc/lxc-net 'Debian lxc'
cat >/etc/default/lxc-net <<'CONF'
USE_LXC_BRIDGE="true"
LXC_USE_NFT="false"
LXC_IPV6_ADDR="2001:db8:5::1"
LXC_IPV6_MASK="64"
LXC_IPV6_NETWORK="2001:db8:5::/64"
LXC_IPV6_NAT="true"
CONF
# it needs a name server of its own, whose part here is to be started
printf '#!/bin/sh\nexit 0\n' >/usr/sbin/dnsmasq
chmod 755 /usr/sbin/dnsmasq
getent passwd lxc-dnsmasq dnsmasq nobody >/dev/null
step /usr/libexec/lxc/lxc-net start
rule 'CHECKSUM --checksum-fill'
step /usr/libexec/lxc/lxc-net start
step /usr/libexec/lxc/lxc-net stop
