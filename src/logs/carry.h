/* Lines on their way from the dynos' pipes to the sink, held where a kill of the supervisor does
 * not reach: neither lost nor repeated, at whatever instant it comes.
 *
 * Three objects of the kernel, which the launcher keeps over all supervisors: a file in memory with
 * the formatted lines (the journal), and two pipes. A line passes so:
 *
 *   1. It is formatted into the journal while its bytes are still in the dyno's pipe.
 *   2. The journal says what is to be taken from which pipe: from here on the line counts.
 *   3. Those bytes are spliced into the pipe H. What is in H has been taken, what is not has not.
 *   4. The line is written to the pipe O, and spliced from there to the sink. What has left O is
 *      out, what is in O is not.
 *
 * Every step between two of these is one store or one system call, so a successor reads from the
 * journal and from what H and O hold exactly how far we came. A regular file is written directly:
 * what it has of our lines is read from it again, and the launcher may write whole lines of its own
 * to it; a line of ours that a kill has torn is then written anew behind its. What takes neither
 * splice() nor is a regular file (an old kernel's terminal) may get the last write() twice.
 *
 * When the launcher is killed too, H and O are new: then nothing is lost, and what was last on its
 * way through them may come twice. */
#pragma once

#include "io/outlet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CARRY_FD_ENV "HSUP_CARRY_FD" /* the first of three descriptors: journal, H, O */
#define CARRY_BYTES  (256 << 10)     /* of lines at once */
#define CARRY_TAKES  8192	     /* pipes that they come from */

struct carry;

/* One that dies with us. NULL = out of memory. */
struct carry *carry_new(void);

/* What the launcher keeps, as it says in the environment (the variable is taken from there), with
 * what an earlier supervisor left. One that dies with us when there is none, or none that can be
 * used. NULL = out of memory. */
struct carry *carry_inherit(void);

/* The same from three descriptors (taken, on failure too). */
struct carry *carry_open(const int fds[3]);
struct carry *carry_free(struct carry *c);

bool carry_survives(const struct carry *c);

/* Why what an earlier supervisor left, or the launcher keeps, cannot be used; NULL = all is well.
 */
const char *carry_refused(const struct carry *c);

/* ---- lines in ---- */

/* Where to put the next lines, need bytes at most; NULL = full, or earlier ones are not out yet. */
char *carry_room(struct carry *c, size_t need);
size_t carry_space(const struct carry *c); /* what can be asked for */
void carry_added(struct carry *c, const char *end);

/* ---- taking, when it survives ---- */

/* The lines since the last publish use up this much of a pipe: once for each pipe. */
void carry_will_take(struct carry *c, uint64_t dev, uint64_t ino, size_t bytes);

/* From here on these lines go out, whatever becomes of us; what was said with carry_will_take() is
 * to be taken now, in its order. */
void carry_publish(struct carry *c);
void carry_take(struct carry *c, int fd);

/* An earlier supervisor left lines whose bytes it did not take any more: until all its pipes have
 * been shown, nothing new may be taken. */
bool carry_owes(const struct carry *c);
void carry_adopt(struct carry *c, uint64_t dev, uint64_t ino, int fd);
void carry_adopted(struct carry *c);

/* ---- lines for files ----
 *
 * Beside what goes to the sink: pieces of text for log files of ours, which count from the same
 * publish on. Before each write the journal says to which file and where: a successor reads from
 * the file how much of it is there, and writes the rest. Nothing is lost and nothing comes twice as
 * long as nobody else writes to those files, moves or cuts them between the kill and the start. */

/* Where to put the next lines for this file (path and owner identify it; path is copied), and how
 * much fits; NULL = full. */
char *carry_file_room(struct carry *c, const char *path, void *owner, size_t *ret_space);
void carry_file_added(struct carry *c, const char *end);

/* Bytes that n more pieces may have, with the names of their files; 0 = not before they are out. */
size_t carry_files_space(const struct carry *c, size_t n);

/* Gives each piece to `out`, which says carry_file_note() before it writes from its beginning, and
 * carry_file_wrote() after it: of what is not said to be written nothing is tried again. */
void carry_files_out(
	struct carry *c, void (*out)(void *owner, struct carry *c, const char *data, size_t len));
void carry_file_note(struct carry *c, uint64_t dev, uint64_t ino, uint64_t at);
void carry_file_wrote(struct carry *c, size_t bytes);

/* ---- out ---- */

/* Before the first carry_out(): looks what came out of an earlier supervisor's last write. */
void carry_resume(struct carry *c, const struct outlet *to);

/* 0 = all is out; -EAGAIN; another: it is broken, and what was held is dropped. */
int carry_out(struct carry *c, const struct outlet *to);
