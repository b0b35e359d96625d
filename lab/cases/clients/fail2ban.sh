# fail2ban: every iptables action of its own, from the start of the jail over ban and unban to its stop.
. /mnt/cases/steps
has fail2ban-client 'Debian fail2ban'
has ipset 'Debian ipset'
mkdir -p /run/fail2ban /var/lib/fail2ban /var/log
: >/var/log/auth.log
cat >/etc/fail2ban/fail2ban.local <<CONF
[Definition]
logtarget = /var/log/fail2ban.log
dbfile = None
syslogsocket = auto
CONF
rm -f /etc/fail2ban/jail.d/*
jails='iptables-multiport iptables iptables-new iptables-allports iptables-multiport-log iptables-xt_recent-echo iptables-ipset-proto6
  iptables-ipset-proto6-allports'
{
  printf '[DEFAULT]\nbackend = polling\nusedns = no\nignoreself = false\nlogpath = /var/log/auth.log\nbantime = 600\n'
  for jail in $jails; do
    printf '[%s]\nenabled = true\nfilter = sshd\n' "$jail"
    printf 'action = %s[name=%.16s, port=ssh, protocol=tcp]\n' "$jail" "${jail#iptables-}"
  done
} >/etc/fail2ban/jail.local
complaints() { sed -n 's/[0-9a-f]\{12\} -- /-- /; s/^.* \(ERROR\|WARNING\) */\1 /p' /var/log/fail2ban.log; : >/var/log/fail2ban.log; }
# a command whose work is done by the jail's thread
settled() { "$@" && settle; }
ok fail2ban-client start
step fail2ban-client --version
step fail2ban-client status
for jail in $jails; do
  ok settled fail2ban-client set "$jail" banip 192.0.2.77
  ok settled fail2ban-client set "$jail" banip 2001:db8::77
  ok settled fail2ban-client set "$jail" banip 192.0.2.78
  step fail2ban-client status "$jail"
  said 192.0.2.78
  ok settled fail2ban-client set "$jail" unbanip 192.0.2.77
  [ "$jail" = iptables-multiport ] || ok settled fail2ban-client stop "$jail"
  step complaints
done
# somebody flushes behind its back: fail2ban notices and starts the action again
iptables -F
iptables -X
ok settled fail2ban-client set iptables-multiport banip 192.0.2.79
ok settled fail2ban-client reload
step complaints
ok settled fail2ban-client unban --all
ok settled fail2ban-client stop
step complaints
