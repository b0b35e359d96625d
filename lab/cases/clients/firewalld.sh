# firewalld with its iptables backend on a bus of its own: start, services, ports, rich rules, direct rules, passthrough, reload, stop.
. /mnt/cases/steps
has firewalld 'Debian firewalld'
has dbus-daemon 'Debian dbus-daemon'
sed -i 's/^FirewallBackend=.*/FirewallBackend=iptables/' /etc/firewalld/firewalld.conf
# without polkit root may do everything
rm -f /usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service
getent passwd messagebus >/dev/null || echo 'messagebus:x:901:901::/:/bin/false' >>/etc/passwd
getent group messagebus >/dev/null || echo 'messagebus:x:901:' >>/etc/group
mkdir -p /run/dbus
dbus-daemon --system --fork --nopidfile
start() {
  firewalld --nofork --nopid >/tmp/firewalld.log 2>&1 &
  for _ in $(seq 100); do
    firewall-cmd --state >/dev/null 2>&1 && return 0
    sleep 0.1
  done
  cat /tmp/firewalld.log
  return 1
}
complaints() { sed 's/^[-0-9]* [:0-9]* //' /tmp/firewalld.log /var/log/firewalld; : >/var/log/firewalld; : >/tmp/firewalld.log; }
ok start
step complaints
step firewall-cmd --get-zones
ok firewall-cmd --add-service=http
ok firewall-cmd --add-port=8000-8010/tcp
rule '--dport 8000:8010'
ok firewall-cmd --zone=internal --add-source=192.0.2.0/24
ok firewall-cmd --zone=drop --add-interface=eth7
ok firewall-cmd --add-masquerade
ok firewall-cmd --add-forward-port=port=2222:proto=tcp:toport=22:toaddr=10.0.0.2
ok firewall-cmd --add-icmp-block=echo-request
ok firewall-cmd "--add-rich-rule=rule family=ipv4 source address=198.51.100.0/24 service name=ssh log prefix=ssh level=info limit value=3/m reject"
ok firewall-cmd "--add-rich-rule=rule family=ipv6 source address=2001:db8::/32 port port=53 protocol=udp accept"
ok firewall-cmd "--add-rich-rule=rule protocol value=esp mark set=5"
ok firewall-cmd --direct --add-chain ipv4 filter ours
ok firewall-cmd --direct --add-rule ipv4 filter ours 0 -p tcp --dport 9000 -m conntrack --ctstate NEW -j ACCEPT
ok firewall-cmd --direct --add-rule ipv4 filter INPUT 1 -j ours
step firewall-cmd --direct --get-all-rules
step firewall-cmd --direct --passthrough ipv4 -nvL ours
step firewall-cmd --direct --passthrough ipv4 -A ours -m nosuch
step firewall-cmd --direct --passthrough ipv6 -I FORWARD -j DROP
step firewall-cmd --list-all
ok firewall-cmd --set-log-denied=all
ok firewall-cmd --remove-service=http
ok firewall-cmd --panic-on
ok firewall-cmd --panic-off
ok firewall-cmd --reload
ok firewall-cmd --complete-reload
ok firewall-cmd --permanent --new-ipset=bad --type=hash:ip
ok firewall-cmd --permanent --ipset=bad --add-entry=203.0.113.5
ok firewall-cmd --permanent --zone=drop --add-source=ipset:bad
ok firewall-cmd --reload
rule '--match-set bad'
step complaints
stop() { kill "$!" && wait "$!"; }
ok stop
step complaints
