/* Which layers an image has. All of this comes from whoever made it: names are only ever opened
 * below its folder, and what has a digest is what that says. */
#include "slug/stack_private.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define MACHINE "amd64"
#elif defined(__aarch64__)
#define MACHINE "arm64"
#else
#error "the name that images have for this machine is missing"
#endif

#define INDEX_DEPTH 4 /* an index of an index */

static void decrefp(json_t **json)
{
	json_decref(*json);
}

#define _cleanup_decref_ HSUP_CLEANUP(decrefp)

int stack_open_member(int folder, const char *path, struct err *err)
{
	/* Old archives of docker save have links from one layer to another. */
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
	char shown[200];
	struct stat st;
	_cleanup_close_ int fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);

	(void)str_printable(path, strlen(path), shown, sizeof shown);
	if (fd < 0 && (errno == EXDEV || errno == ELOOP))
		return err_set(err, -EBADMSG, "%s is a link to outside of the image", shown);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(
			err, errno == ENOENT ? -EBADMSG : -errno, "%s is not in it", shown);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EBADMSG, "%s is not a regular file", shown);
	return TAKE_FD(fd);
}

/* digest "" = any. ret_hex NULL allowed. */
static int read_json(int folder, const char *path, const char *digest, json_t **ret_json,
	char ret_hex[DIGEST_HEX + 1], struct err *err)
{
	_cleanup_close_ int fd = stack_open_member(folder, path, err);
	_cleanup_free_ char *text = NULL;
	char hex[DIGEST_HEX + 1], shown[100];
	json_error_t error;
	size_t len;

	if (fd < 0)
		return fd;
	int r = file_read_fd(fd, LIMIT_STACK_JSON, &text, &len);
	if (r == 0)
		r = digest_of_fd(fd, hex);
	(void)str_printable(path, strlen(path), shown, sizeof shown);
	if (r < 0)
		return err_errno(err, r, "%s", shown);
	if (*digest && strcmp(digest, hex) != 0)
		return err_set(err, -EKEYREJECTED, "%s is damaged: its SHA-256 is %s", shown, hex);
	*ret_json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (!*ret_json)
		return err_set(err, -EBADMSG, "%s is no JSON", shown);
	if (ret_hex)
		memcpy(ret_hex, hex, sizeof hex);
	return 0;
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static int parse_digest(const char *text, char ret_hex[DIGEST_HEX + 1], struct err *err)
{
	const char *hex = strchr(text, ':');
	char shown[100];

	if (!hex || strncmp(text, "sha256:", 7) != 0 || strlen(hex + 1) != DIGEST_HEX ||
		strspn(hex + 1, "0123456789abcdef") != DIGEST_HEX)
		return err_set(err, -EBADMSG, "'%s' is no digest of SHA-256",
			str_printable(text, strlen(text), shown, sizeof shown));
	memcpy(ret_hex, hex + 1, DIGEST_HEX + 1);
	return 0;
}

/* A blob that a descriptor names. */
static int read_blob(int folder, const json_t *descriptor, json_t **ret_json,
	char ret_hex[DIGEST_HEX + 1], struct err *err)
{
	char path[100];
	int r = parse_digest(text_of(descriptor, "digest"), ret_hex, err);

	if (r < 0)
		return r;
	(void)snprintf(path, sizeof path, "blobs/sha256/%s", ret_hex);
	return read_json(folder, path, ret_hex, ret_json, NULL, err);
}

static bool is_ours(const json_t *object)
{
	const char *os = text_of(object, "os"), *machine = text_of(object, "architecture");

	return (!*os || strcmp(os, "linux") == 0) && (!*machine || strcmp(machine, MACHINE) == 0);
}

/* The one of an index that is for this machine; borrowed. */
static int choose(const json_t *index, const json_t **ret_descriptor, struct err *err)
{
	const json_t *manifests = json_object_get(index, "manifests"), *found = NULL;
	size_t n = json_array_size(manifests);

	for (size_t i = 0; i < n; i++) {
		const json_t *one = json_array_get(manifests, i);

		if (!is_ours(json_object_get(one, "platform")))
			continue;
		if (found && strcmp(text_of(found, "digest"), text_of(one, "digest")) != 0)
			return err_set(err, -EINVAL,
				"there are several images for linux/" MACHINE
				" in it: make one of the image that is meant");
		found = one;
	}
	if (!found)
		return err_set(err, -EBADMSG,
			"there is no image for linux/" MACHINE " among %zu in it", n);
	*ret_descriptor = found;
	return 0;
}

static int check_platform(const json_t *config, struct err *err)
{
	char os[40], machine[40];

	if (is_ours(config))
		return 0;
	return err_set(err, -EBADMSG, "the image is for %s/%s, not for linux/" MACHINE,
		str_printable(text_of(config, "os"), strlen(text_of(config, "os")), os, sizeof os),
		str_printable(text_of(config, "architecture"),
			strlen(text_of(config, "architecture")), machine, sizeof machine));
}

static int check_count(size_t n, struct err *err)
{
	if (n == 0 || n > LIMIT_STACK_LAYERS)
		return err_set(err, n ? -EFBIG : -EBADMSG, "the image has %zu layers, not 1 to %d",
			n, LIMIT_STACK_LAYERS);
	return 0;
}

/* Down to the manifest. */
static int find_manifest(
	int folder, json_t **ret_manifest, char ret_hex[DIGEST_HEX + 1], struct err *err)
{
	_cleanup_decref_ json_t *index = NULL;
	const json_t *descriptor = NULL;
	int r = read_json(folder, "index.json", "", &index, NULL, err);

	for (unsigned depth = 0; r == 0; depth++) {
		json_t *next = NULL;

		if (depth == INDEX_DEPTH)
			return err_set(err, -EBADMSG, "its index is nested too deeply");
		r = choose(index, &descriptor, err);
		if (r == 0)
			r = read_blob(folder, descriptor, &next, ret_hex, err);
		if (r < 0)
			break;
		json_decref(index);
		index = next;
		if (!json_object_get(index, "manifests")) {
			*ret_manifest = TAKE_PTR(index);
			return 0;
		}
	}
	return r;
}

static int list_oci(int folder, struct stack_layer **ret_layers, size_t *ret_n,
	char ret_hex[DIGEST_HEX + 1], struct err *err)
{
	_cleanup_decref_ json_t *manifest = NULL, *config = NULL;
	_cleanup_free_ struct stack_layer *layers = NULL;
	char hex[DIGEST_HEX + 1];

	int r = find_manifest(folder, &manifest, ret_hex, err);
	if (r == 0)
		r = read_blob(folder, json_object_get(manifest, "config"), &config, hex, err);
	if (r == 0)
		r = check_platform(config, err);
	const json_t *list = json_object_get(manifest, "layers");
	size_t n = json_array_size(list);
	if (r == 0)
		r = check_count(n, err);
	if (r < 0)
		return r;
	layers = calloc(n, sizeof *layers);
	if (!layers)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		r = parse_digest(text_of(json_array_get(list, i), "digest"), layers[i].digest, err);
		if (r < 0)
			return r;
		(void)snprintf(
			layers[i].path, sizeof layers[i].path, "blobs/sha256/%s", layers[i].digest);
	}
	*ret_layers = TAKE_PTR(layers);
	*ret_n = n;
	return 0;
}

/* A name in manifest.json of docker save. */
static int member_path(const json_t *value, char ret_path[LIMIT_SLUG_PATH + 1], struct err *err)
{
	struct entry_name name;
	const char *why = entry_name_parse(json_string_value(value), &name);

	if (why || name.len == 0)
		return err_set(err, -EBADMSG, "a name in manifest.json: %s", why ? why : "empty");
	memcpy(ret_path, name.path, name.len + 1);
	return 0;
}

/* The configuration, whose name is its digest: "<hex>.json", or "blobs/sha256/<hex>". */
static int read_config(int folder, const json_t *image, json_t **ret_config, struct err *err)
{
	char path[LIMIT_SLUG_PATH + 1], digest[DIGEST_HEX + 1] = "";
	int r = member_path(json_object_get(image, "Config"), path, err);

	if (r < 0)
		return r;
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	if (strspn(name, "0123456789abcdef") == DIGEST_HEX)
		memcpy(digest, name, DIGEST_HEX);
	return read_json(folder, path, digest, ret_config, NULL, err);
}

static int list_docker(int folder, struct stack_layer **ret_layers, size_t *ret_n,
	char ret_hex[DIGEST_HEX + 1], struct err *err)
{
	_cleanup_decref_ json_t *manifest = NULL, *config = NULL;
	_cleanup_free_ struct stack_layer *layers = NULL;

	int r = read_json(folder, "manifest.json", "", &manifest, ret_hex, err);
	if (r == 0 && json_array_size(manifest) != 1)
		r = err_set(err, -EINVAL, "there are %zu images in it: save the one that is meant",
			json_array_size(manifest));
	const json_t *image = json_array_get(manifest, 0);
	const json_t *list = json_object_get(image, "Layers");
	size_t n = json_array_size(list);
	if (r == 0)
		r = read_config(folder, image, &config, err);
	if (r == 0)
		r = check_platform(config, err);
	if (r == 0)
		r = check_count(n, err);
	if (r < 0)
		return r;
	const json_t *diffs = json_object_get(json_object_get(config, "rootfs"), "diff_ids");
	if (json_array_size(diffs) != n)
		return err_set(err, -EBADMSG, "it has %zu layers and digests of %zu", n,
			json_array_size(diffs));
	layers = calloc(n, sizeof *layers);
	if (!layers)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < n; i++) {
		const char *diff = json_string_value(json_array_get(diffs, i));

		layers[i].plain = true;
		r = parse_digest(diff ? diff : "", layers[i].digest, err);
		if (r == 0)
			r = member_path(json_array_get(list, i), layers[i].path, err);
	}
	if (r < 0)
		return r;
	*ret_layers = TAKE_PTR(layers);
	*ret_n = n;
	return 0;
}

int stack_list_layers(int folder, enum job_stack_from from, struct stack_layer **ret_layers,
	size_t *ret_n, char ret_hex[DIGEST_HEX + 1], struct err *err)
{
	return from == JOB_FROM_DOCKER ? list_docker(folder, ret_layers, ret_n, ret_hex, err)
				       : list_oci(folder, ret_layers, ret_n, ret_hex, err);
}
