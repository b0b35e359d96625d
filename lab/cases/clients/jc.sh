# jc: what it makes of every form of -L.
. /mnt/cases/steps
has /mnt/python/bin/jc 'PyPI jc'
iptables-restore <<'RULES'
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:web - [0:0]
:web2 - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT ! -s 192.0.2.0/24 -p tcp -m multiport --dports 80,443 -m comment --comment "web only" -j web
[123456:987654321] -A web -m limit --limit 3/min -j LOG --log-prefix "web: "
-A web -p icmp -g web2
-A web -j REJECT
COMMIT
RULES
ip6tables -A INPUT -s 2001:db8::/32 -p ipv6-icmp -j ACCEPT
parsed() { "$@" | /mnt/python/bin/python -m jc --iptables --pretty; }
for options in '' -n -v -nv -nvx '-n --line-numbers' '-nv --line-numbers'; do
  step parsed iptables -L $options
  step parsed ip6tables -L $options
done
