# firehol: a host's and a router's rules through one restore, stop, and a configuration that fails (it puts the old rules back).
. /mnt/cases/steps
has firehol 'Debian firehol'
# Debian's takes the legacy programs; this suite is about the others
sed -i 's/tables-legacy/tables/g' /usr/lib/firehol/*
sed -i 's/^START_FIREHOL=.*/START_FIREHOL=YES/' /etc/default/firehol
cat >/etc/firehol/firehol.conf <<'CONF'
version 6
ipv4 interface eth0 world src not "10.0.0.0/8"
    protection strong
    policy drop
    server "ssh http https" accept
    server custom games "tcp/8000:8010 udp/8000" default accept
    client all accept
ipv4 interface eth1 home
    policy accept
ipv4 router world2home inface eth0 outface eth1
    masquerade reverse
    route smtp accept dst 10.0.0.25
    client all accept
CONF
ip link add eth0 type veth peer name far0
ip link add eth1 type veth peer name far1
ip addr add 192.0.2.1/24 dev eth0
ip addr add 10.0.0.1/24 dev eth1
ok firehol start
rule '--dport 8000:8010'
step firehol status
ok firehol restart
echo 'ipv4 interface eth2 bad src nonsense/99' >>/etc/firehol/firehol.conf
echo '    server ssh accept' >>/etc/firehol/firehol.conf
# it says where its own working files were
failing() { firehol "$@" >/tmp/out 2>&1; local code=$?; sed 's/firehol-[A-Za-z0-9]*/firehol-NAME/g' /tmp/out; return "$code"; }
step failing start
step firehol panic
ok firehol stop
