# ansible.builtin.iptables: add, again (must change nothing), in check mode, insert, policy, chains, flush, remove; at last a playbook.
. /mnt/cases/steps
has /mnt/python/bin/ansible-playbook 'PyPI ansible-core'
number=0
# module ARGUMENTS…: runs the module as the controller would, arguments as JSON members
module() {
  local IFS=,
  echo "{\"ANSIBLE_MODULE_ARGS\": {$*}}" >/tmp/args.json
  /mnt/python/bin/python -m ansible.modules.iptables /tmp/args.json
}
web=('"chain": "INPUT"' '"protocol": "tcp"' '"destination_ports": ["80", "443", "8081:8083"]' '"jump": "ACCEPT"' '"comment": "web: ours"')
step module "${web[@]}" '"_ansible_check_mode": true'
said '"changed": true'
step module "${web[@]}"
rule '--dports 80,443,8081:8083'
step module "${web[@]}"
said '"changed": false'
step module '"chain": "INPUT"' '"source": "192.0.2.8"' '"jump": "DROP"' '"action": "insert"' '"rule_num": "1"' '"wait": "5"'
step module '"chain": "INPUT"' '"source": "192.0.2.8"' '"jump": "DROP"' '"action": "insert"' '"rule_num": "1"' '"wait": "5"'
step module '"chain": "INPUT"' '"ctstate": ["ESTABLISHED", "RELATED"]' '"jump": "ACCEPT"'
step module '"chain": "FORWARD"' '"protocol": "tcp"' '"syn": "negate"' '"in_interface": "eth0"' '"jump": "DROP"'
step module '"chain": "OUTPUT"' '"protocol": "tcp"' '"tcp_flags": {"flags": "ALL", "flags_set": ["ACK", "RST"]}' '"limit": "2/second"' '"limit_burst": 20' '"jump": "LOG"' '"log_prefix": "IPTABLES:INFO: "' '"log_level": "info"'
step module '"chain": "INPUT"' '"uid_owner": "0"' '"jump": "ACCEPT"'
step module '"chain": "OUTPUT"' '"uid_owner": "!0"' '"jump": "REJECT"' '"reject_with": "icmp-host-prohibited"'
step module '"chain": "INPUT"' '"match": ["iprange"]' '"src_range": "192.168.1.100-192.168.1.199"' '"jump": "ACCEPT"'
step module '"table": "nat"' '"chain": "PREROUTING"' '"protocol": "tcp"' '"destination_port": "80"' '"jump": "REDIRECT"' '"to_ports": "8600"'
step module '"table": "mangle"' '"chain": "PREROUTING"' '"protocol": "tcp"' '"destination_port": "5060"' '"jump": "DSCP"' '"set_dscp_mark": "8"'
step module '"ip_version": "ipv6"' '"chain": "INPUT"' '"protocol": "ipv6-icmp"' '"icmp_type": "echo-request"' '"jump": "ACCEPT"'
step module '"chain": "TESTCHAIN"' '"chain_management": true'
step module '"chain": "TESTCHAIN"' '"chain_management": true'
said '"changed": false'
step module '"chain": "TESTCHAIN"' '"jump": "RETURN"' '"protocol": "!udp"'
step module '"chain": "INPUT"' '"jump": "NOSUCH"'
step module '"chain": "INPUT"' '"policy": "DROP"'
rule ':INPUT DROP'
step module '"chain": "INPUT"' '"policy": "DROP"'
said '"changed": false'
step module "${web[@]}" '"state": "absent"' '"_ansible_check_mode": true'
step module "${web[@]}" '"state": "absent"'
step module "${web[@]}" '"state": "absent"'
said '"changed": false'
step module '"chain": "TESTCHAIN"' '"flush": true'
step module '"chain": "TESTCHAIN"' '"chain_management": true' '"state": "absent"'
step module '"table": "nat"' '"chain": "PREROUTING"' '"flush": true'
cat >/tmp/book.yml <<'YAML'
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.iptables: { chain: INPUT, protocol: tcp, destination_port: "22", ctstate: NEW, jump: ACCEPT, comment: "ssh" }
    - ansible.builtin.iptables: { chain: FORWARD, policy: DROP }
    - ansible.builtin.iptables: { chain: INPUT, source: 192.0.2.8, jump: DROP, state: absent, wait: "5" }
YAML
export LC_ALL=C.UTF-8 ANSIBLE_LOCALHOST_WARNING=False ANSIBLE_INVENTORY_UNPARSED_WARNING=False ANSIBLE_PYTHON_INTERPRETER=/mnt/python/bin/python ANSIBLE_NOCOLOR=1
step /mnt/python/bin/python -m ansible playbook /tmp/book.yml --check
step /mnt/python/bin/python -m ansible playbook /tmp/book.yml
step /mnt/python/bin/python -m ansible playbook /tmp/book.yml
said changed=0
