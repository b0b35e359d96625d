# netfilter-persistent with iptables-persistent's plug-ins: start, save, flush, reload, restart, stop, and the variables they know.
. /mnt/cases/steps
has netfilter-persistent 'Debian netfilter-persistent'
[ -x /usr/share/netfilter-persistent/plugins.d/15-ip4tables ] || has 15-ip4tables 'Debian iptables-persistent'
mkdir -p /etc/iptables
step netfilter-persistent save
cat >/etc/iptables/rules.v4 <<RULES
# a comment
*filter
:INPUT DROP [10:600]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:web - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
[5:300] -A INPUT -p tcp -m multiport --dports 80,443 -j web
-A INPUT -p icmp -m icmp --icmp-type 8 -m limit --limit 1/sec -j ACCEPT
-A web -s 192.0.2.0/24 -m comment --comment "ours; \"quoted\"" -j ACCEPT
-A web -j REJECT --reject-with tcp-reset -p tcp
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -i eth0 -p tcp --dport 8080 -j DNAT --to-destination 10.0.0.2:80
-A POSTROUTING -o eth0 -j MASQUERADE
COMMIT
RULES
cat >/etc/iptables/rules.v6 <<RULES
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -p ipv6-icmp -j ACCEPT
-A INPUT -s 2001:db8::/32 -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
RULES
step netfilter-persistent start
iptables -A INPUT -s 203.0.113.9 -j DROP
step netfilter-persistent save
step stat -c '%a %n' /etc/iptables/rules.v4 /etc/iptables/rules.v6
step sed '/^#/d' /etc/iptables/rules.v4 /etc/iptables/rules.v6
step netfilter-persistent flush
step netfilter-persistent reload
step netfilter-persistent stop
echo FLUSH_ON_STOP=1 >/etc/default/netfilter-persistent
step netfilter-persistent stop
step netfilter-persistent restart
ip6tables -A INPUT -p udp --dport 53 -j ACCEPT
step env IPTABLES_RESTORE_NOFLUSH=yes netfilter-persistent start
step env IPTABLES_SKIP_SAVE=yes netfilter-persistent save
step sed '/^#/d' /etc/iptables/rules.v6
sed -i '0,/^COMMIT/s//-A INPUT -j NOSUCH\nCOMMIT/' /etc/iptables/rules.v4
step env IPTABLES_TEST_RULESET=yes netfilter-persistent start
step netfilter-persistent start
rm /etc/iptables/rules.v6
step netfilter-persistent start
