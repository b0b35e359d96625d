# ufw: enable, rules of every kind, limits, logging, routed rules, status in all its forms, delete, reload, disable, reset.
. /mnt/cases/steps
has ufw 'Debian ufw'
# what Debian's postinst does
mkdir -p /etc/ufw
cp /usr/share/ufw/iptables/*.rules /usr/share/ufw/*.init /usr/share/ufw/ufw.conf /etc/ufw/
chmod 640 /etc/ufw/*.rules
step ufw status
ok ufw --force enable
step ufw status verbose
ok ufw allow 22/tcp
ok ufw allow proto tcp from 192.0.2.0/24 to any port 80,443,8000:8010 comment 'web from us'
ok ufw limit ssh
ok ufw limit from 2001:db8::/64 to any port 2222 proto tcp
ok ufw deny in on eth0 from 198.51.100.7
ok ufw reject out log-all 25/tcp
ok ufw insert 1 allow from 192.0.2.99
ok ufw route allow in on eth0 out on eth1 to 10.0.0.0/8 port 53
ok ufw logging high
ok ufw default deny outgoing
ok ufw default reject incoming
step ufw status numbered
step ufw show raw
step ufw show builtins
step ufw show added
ok ufw delete limit ssh
ok ufw --force delete 1
step ufw delete allow 9/tcp
ok ufw reload
step ufw status
ok ufw disable
step ufw status
ok ufw --force reset
