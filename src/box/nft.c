#include "box/nft.h"

#include "base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define TABLE	  NFT_TABLE
#define PUBLISHED NFT_PUBLISHED
#define EXTRAS	  NFT_EXTRAS

/* Every end of a dyno's pair on the machine is called hv and its uid.
 *
 * Another table may still drop what this one lets pass: where Docker has set the policy of its
 * FORWARD chain to drop, dynos reach nothing outside until
 *     iptables -I DOCKER-USER -i hv+ -j ACCEPT
 *     iptables -I DOCKER-USER -o hv+ -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT
 * is said there: an accept of ours cannot overrule it. */
static const char rules[] =
	"add table inet " TABLE "\n"
	/* Several hsup of one machine, each with a subnet: they may lie in each other. */
	"add set inet " TABLE " subnets { type ipv4_addr; flags interval; auto-merge; }\n"
	"add chain inet " TABLE " arrive { type filter hook prerouting priority -150; }\n"
	"add chain inet " TABLE " input { type filter hook input priority 0; }\n"
	"add chain inet " TABLE " forward { type filter hook forward priority 0; }\n"
	"add chain inet " TABLE " leave { type nat hook postrouting priority 100; }\n"
	"flush chain inet " TABLE " arrive\n"
	"flush chain inet " TABLE " input\n"
	"flush chain inet " TABLE " forward\n"
	"flush chain inet " TABLE " leave\n"
	/* Nobody gave them an IPv6 address; nor any other than their own of IPv4. */
	"add rule inet " TABLE " arrive iifname \"hv*\" meta nfproto ipv6 drop\n"
	"add rule inet " TABLE " arrive iifname \"hv*\" fib saddr . iif oif missing drop\n"
	/* The machine may call a dyno, not a dyno the machine. */
	"add rule inet " TABLE " input iifname \"hv*\" ct state established,related accept\n"
	"add rule inet " TABLE " input iifname \"hv*\" reject with icmpx type admin-prohibited\n"
	"add rule inet " TABLE " forward ct state established,related accept\n"
	"add rule inet " TABLE " forward iifname \"hv*\" oifname \"hv*\" "
	"reject with icmpx type admin-prohibited\n"
	/* Where a cloud tells a machine its secrets. */
	"add rule inet " TABLE " forward iifname \"hv*\" ip daddr 169.254.0.0/16 "
	"reject with icmpx type admin-prohibited\n"
	/* What came from a dyno, and nothing else: the machine's own addresses may be of the
	 * subnet, and those of an engine's containers. */
	"add rule inet " TABLE " leave iifname \"hv*\" ip saddr @subnets oifname != \"hv*\" "
	"masquerade\n";

/* Where ports of the machine lead to dynos: an element each, by their boxes. What comes from a dyno
 * is not led anywhere: to it these are ports of the machine, which it cannot reach. Nor is what is
 * sent to loopback: for that a dyno's interface would have to take packets of 127.0.0.0/8
 * (route_localnet, CVE-2020-8558). */
static const char publishing[] =
	"add map inet " TABLE " " PUBLISHED " { type inet_service : ipv4_addr . inet_service; }\n"
	"add chain inet " TABLE " publish { type nat hook prerouting priority -100; }\n"
	"add chain inet " TABLE " publish_here { type nat hook output priority -100; }\n"
	"flush chain inet " TABLE " publish\n"
	"flush chain inet " TABLE " publish_here\n"
	"add rule inet " TABLE " publish iifname != \"hv*\" fib daddr type local "
	"dnat ip to tcp dport map @" PUBLISHED "\n"
	"add rule inet " TABLE " publish_here ip daddr != 127.0.0.0/8 fib daddr type local "
	"dnat ip to tcp dport map @" PUBLISHED "\n";

/* What dynos send by LIBCONTAINER_DYNO_EXTRA_INTERFACE does not come from an hv. An ipvlan's is put
 * where the machine's own leaves, routed by its tables, and what is for the parent's own address
 * comes in by lo; a macvlan's, and an ipvlan's for other addresses of the machine, may come back
 * from a router outside. Its source is their address there, or that of eth0, which they may choose,
 * and then the answers come by the pair. What they may not reach there they may not here: before
 * anybody translates it, Docker's ports too. What was begun by the other side is theirs to answer.
 */
static const char around[] =
	"add set inet " TABLE " " EXTRAS " { type ipv4_addr; flags interval; auto-merge; }\n"
	"add chain inet " TABLE " around\n"
	"add chain inet " TABLE " around_out { type filter hook output priority -150; }\n"
	"add chain inet " TABLE " around_in { type filter hook prerouting priority -150; }\n"
	"flush chain inet " TABLE " around\n"
	"flush chain inet " TABLE " around_out\n"
	"flush chain inet " TABLE " around_in\n"
	"add rule inet " TABLE " around fib saddr type local return\n"
	"add rule inet " TABLE " around fib daddr type local drop\n"
	"add rule inet " TABLE " around ip daddr 169.254.0.0/16 drop\n"
	"add rule inet " TABLE " around_out ct state established,related accept\n"
	"add rule inet " TABLE " around_out ip saddr @" EXTRAS " jump around\n"
	"add rule inet " TABLE " around_out ip saddr @subnets jump around\n"
	"add rule inet " TABLE " around_in iifname \"hv*\" accept\n"
	"add rule inet " TABLE " around_in ct state established,related accept\n"
	"add rule inet " TABLE " around_in ip saddr @" EXTRAS " jump around\n"
	"add rule inet " TABLE " around_in ip saddr @" EXTRAS " fib daddr oifname \"hv*\" drop\n"
	/* Others' addresses may be of the subnet, too. */
	"add rule inet " TABLE " around_in ip saddr @subnets fib saddr oifname \"hv*\" drop\n";

static const char *find_program(void)
{
	static const char *const places[] = {
		"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", "/usr/local/sbin/nft"};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

HSUP_NORETURN static void become_nft(const char *program, int in, int errors)
{
	static char name[] = "nft", option[] = "-f", input[] = "-";
	char *const argv[] = {name, option, input, NULL};
	char *const none[] = {NULL};
	sigset_t nothing;

	(void)sigemptyset(&nothing);
	(void)sigprocmask(SIG_SETMASK, &nothing, NULL);
	if (dup2(in, STDIN_FILENO) >= 0 && dup2(errors, STDOUT_FILENO) >= 0 &&
		dup2(errors, STDERR_FILENO) >= 0)
		(void)execve(program, argv, none);
	_exit(127);
}

/* The first line of what comes, up to the end; fd is taken. */
static void take_line(int fd, char *ret_text, size_t size)
{
	_cleanup_close_ int from = fd;
	ssize_t n = fd_read_full(from, ret_text, size - 1);

	ret_text[n < 0 ? 0 : n] = '\0';
	ret_text[strcspn(ret_text, "\n")] = '\0';
}

/* Runs it with what is in `in`; its first line of complaint is kept. */
static int run_nft(const char *program, int in, struct err *err)
{
	char text[400] = "";
	int out[2], status;

	if (pipe2(out, O_CLOEXEC) < 0)
		return err_errno(err, -errno, "cannot make a pipe");
	pid_t pid = fork();
	int failed = -errno;
	if (pid == 0)
		become_nft(program, in, out[1]);
	(void)fd_close(out[1]);
	/* Where there is none to say it, the end comes at once. A longer complaint than fits is cut
	 * off by the end of our pipe. */
	take_line(out[0], text, sizeof text);
	if (pid < 0)
		return err_errno(err, failed, "cannot start %s", program);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(err, -errno, "cannot wait for %s", program);
	if (status != 0)
		return err_set(err, -EOPNOTSUPP, "%s does not take the rules: %s", program,
			text[0] ? text : "it did not say why");
	return 0;
}

/* Which addresses are meant. */
static void put_elements(const struct box_settings *s, char *ret_text, size_t size)
{
	struct in_addr a = {htonl(s->subnet.address)};
	char first[INET_ADDRSTRLEN], last[INET_ADDRSTRLEN];

	int len = snprintf(ret_text, size, "add element inet " TABLE " subnets { %s/%u }\n",
		inet_ntop(AF_INET, &a, first, sizeof first), s->subnet.bits);
	if (!s->extra_parent[0])
		return;
	a.s_addr = htonl(s->extra.address);
	(void)inet_ntop(AF_INET, &a, first, sizeof first);
	a.s_addr = htonl(s->extra_last ? s->extra_last : s->extra.address);
	(void)snprintf(ret_text + len, size - (size_t)len,
		"add element inet " TABLE " " EXTRAS " { %s-%s }\n", first,
		inet_ntop(AF_INET, &a, last, sizeof last));
}

int nft_make(const struct box_settings *s, struct err *err)
{
	const char *program = find_program();
	char elements[256];
	int in[2];

	if (!program)
		return err_set(err, -ENOENT,
			"dynos with networks of their own need the program nft (package nftables); "
			"LIBCONTAINER_DYNO_NETWORK=host or none do without");
	put_elements(s, elements, sizeof elements);
	if (pipe2(in, O_CLOEXEC) < 0)
		return err_errno(err, -errno, "cannot make a pipe");
	/* All of it fits into the pipe. */
	int r = fd_write_all(in[1], rules, sizeof rules - 1);
	if (r == 0 && s->publish.min)
		r = fd_write_all(in[1], publishing, sizeof publishing - 1);
	if (r == 0 && s->extra_parent[0])
		r = fd_write_all(in[1], around, sizeof around - 1);
	if (r == 0)
		r = fd_write_all(in[1], elements, strlen(elements));
	(void)fd_close(in[1]);
	r = r < 0 ? err_errno(err, r, "cannot write the rules") : run_nft(program, in[0], err);
	(void)fd_close(in[0]);
	return r;
}
