// The library that computes on GPUs, of which a process has one at most.
#define _GNU_SOURCE
#include "shim.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ggml_backend_dev_t devices[17];

static void on_abort(const char * message);

static char * why(const char * text) {
	char * line = strdup(text && *text ? text : "no reason given");
	if (line) line[strcspn(line, "\n")] = 0;
	return line;
}

// why_logged is what ggml has logged since the last call.
static char * why_logged(const char * otherwise) {
	char text[2048];
	skerry_last_error(text, sizeof text);
	return why(*text ? text : otherwise);
}

char * skerry_gpu_load(const char * path) {
	dlerror();
	void * h = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!h) return why(dlerror());
	void * init = dlsym(h, "ggml_backend_init");
	int (*score)(void) = (int (*)(void)) dlsym(h, "ggml_backend_score");
	if (!init || (score && score() == 0)) {
		char * s = why(init ? "it does not support this machine" : "it has no ggml_backend_init: it is no library of ggml's");
		dlclose(h);
		return s;
	}
	skerry_hear_base();
	why_logged("");
	ggml_backend_reg_t reg = ggml_backend_load(path);
	if (!reg) {
		char * s = why_logged(NULL);
		dlclose(h);
		return s;
	}
	ggml_backend_dev_t found[sizeof devices / sizeof *devices] = { NULL };
	size_t n = 0;
	for (size_t i = 0; i < ggml_backend_reg_dev_count(reg) && n < sizeof devices / sizeof *devices - 1; i++) {
		ggml_backend_dev_t d = ggml_backend_reg_dev_get(reg, i);
		enum ggml_backend_dev_type type = ggml_backend_dev_type(d);
		if (type == GGML_BACKEND_DEVICE_TYPE_GPU || type == GGML_BACKEND_DEVICE_TYPE_IGPU) found[n++] = d;
	}
	if (n == 0) return why_logged("it finds no GPU in this machine");
	memcpy(devices, found, sizeof devices);
	void * base = dlopen("libggml-base.so.0", RTLD_LAZY | RTLD_NOLOAD);
	if (base) {
		ggml_abort_callback_t (*set)(ggml_abort_callback_t) = (ggml_abort_callback_t (*)(ggml_abort_callback_t)) dlsym(base, "ggml_set_abort_callback");
		if (set) set(on_abort);
		dlclose(base);
	}
	return NULL;  // h stays open: the library stays as long as the process
}

ggml_backend_dev_t * skerry_gpu_devices(void) { return devices; }

bool skerry_gpu_look(struct skerry_gpu * g) {
	*g = (struct skerry_gpu) { .unified = false };
	for (ggml_backend_dev_t * d = devices; *d; d++) {
		size_t free = 0, total = 0, at = strlen(g->name);
		ggml_backend_dev_memory(*d, &free, &total);
		g->free += free;
		g->total += total;
		if (ggml_backend_dev_type(*d) == GGML_BACKEND_DEVICE_TYPE_IGPU) g->unified = true;
		snprintf(g->name + at, sizeof g->name - at, "%s%s (%s)", at ? ", " : "", ggml_backend_dev_name(*d), ggml_backend_dev_description(*d));
	}
	return devices[0] != NULL;
}

static char guard[4096];
static atomic_int working;

void skerry_gpu_guard(const char * path) { snprintf(guard, sizeof guard, "%s", path ? path : ""); }
void skerry_gpu_work(int n) { atomic_fetch_add(&working, n); }

// on_abort is called when ggml is about to end the process, which is what a library of CUDA does
// where a device fails.
static void on_abort(const char * message) {
	fprintf(stderr, "%s\n", message);
	if (!guard[0] || atomic_load(&working) == 0) return;
	int fd = open(guard, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) return;
	ssize_t n = write(fd, message, strlen(message));
	(void) n;
	fsync(fd);
	close(fd);
}
