// SPDX-License-Identifier: GPL-2.0
/*
 * What the check found, as text and as JSON.
 */
#include <errno.h>
#include <jansson.h>

#include "check_int.h"
#include "sim.h"

const char *check_snapid(u64 id)
{
	static char texts[4][32];
	static unsigned int next;
	char *text = texts[next++ % 4];

	if (id == CHECK_ID_NONE)
		return "the reserved id";
	if (check_is_first(id))
		snprintf(text, sizeof(texts[0]), "%u", check_high(id));
	else
		snprintf(text, sizeof(texts[0]), "%u.%u", check_high(id), check_low(id));
	return text;
}

/* ---- text ---- */

static void print_finding(const struct check_finding *f, const char *name, FILE *out)
{
	fprintf(out, "%s: %s%s%s: %s %s%s%s%s\n", name, f->area, *f->place ? ", " : "", f->place,
		f->field, f->what, f->advice ? " (" : "", f->advice ? f->advice : "",
		f->advice ? ")" : "");
}

void check_print(const struct check_report *report, const char *name, FILE *out)
{
	for (size_t i = 0; i < report->nr_findings; i++)
		print_finding(&report->findings[i], name, out);
	if (report->nr_errors > report->nr_findings)
		fprintf(out, "%s: %llu more not shown\n", name,
			report->nr_errors - report->nr_findings);
	if (report->result == CHECK_IMPOSSIBLE) {
		fprintf(out, "%s: cannot be checked: %s\n", name, report->reason);
		return;
	}
	if (*report->reason)
		fprintf(out, "%s: %s\n", name, report->reason);
	if (report->summary.error && !report->nr_errors)
		fprintf(out,
			"%s: marked as invalid: the snapshots were given up with %s; format the store anew\n",
			name, errno_name(report->summary.error));
	else if (report->nr_errors)
		fprintf(out, "%s: %llu error%s\n", name, report->nr_errors,
			report->nr_errors == 1 ? "" : "s");
	else
		fprintf(out, "%s: clean\n", name);
}

static void print_after_log(const struct check_summary *s, FILE *out)
{
	fprintf(out, "log           %llu records behind it, %llu sectors, %llu operations\n",
		s->records, s->record_sectors, s->ops);
	if (!s->replayed)
		return;
	fprintf(out, "snapshots     %llu live, the next one is %llu or more\n", s->snapshots,
		s->next_first);
	fprintf(out, "exceptions    %llu, of which %llu wait to be reclaimed\n", s->exceptions,
		s->garbage);
	fprintf(out, "data          %llu of %llu chunks in use, %llu free\n", s->exceptions,
		s->data_chunks, s->data_chunks - s->exceptions);
	if (s->reclaim & CHECK_RECLAIM_PASS)
		fprintf(out, "reclaim       under way at chunk %llu, from %s%s\n", s->cursor_chunk,
			check_snapid(s->cursor_from),
			s->reclaim & CHECK_RECLAIM_AGAIN ? "; another pass is to follow" : "");
	else
		fprintf(out, "reclaim       idle\n");
}

void check_print_summary(const struct check_report *report, FILE *out)
{
	const struct check_summary *s = &report->summary;

	if (!s->formatted)
		return;
	fprintf(out, "device        %llu sectors; chunks of %llu sectors, logical blocks of %llu\n",
		s->device_sectors, s->chunk_sectors, s->block_sectors);
	fprintf(out, "origin        %llu sectors\n", s->origin_sectors);
	fprintf(out, "areas         log %llu blocks, metadata %llu blocks, data %llu chunks\n",
		s->log_blocks, s->meta_blocks, s->data_chunks);
	fprintf(out, "loaded        %u times\n", s->mount);
	fprintf(out, "checkpoint    %llu: up to record %llu; %llu exceptions, %llu snapshots\n",
		s->ckpt, s->ckpt_seq, s->ckpt_exceptions, s->ckpt_snapshots);
	fprintf(out, "tree          %llu nodes in %u levels\n", s->tree_blocks, s->depth);
	print_after_log(s, out);
}

/* ---- JSON ---- */

/* What does not fit a signed number is text. */
static json_t *number(u64 value)
{
	char text[24];

	if (value <= INT64_MAX)
		return json_integer((json_int_t)value);
	snprintf(text, sizeof(text), "%llu", value);
	return json_string(text);
}

static json_t *finding_json(const struct check_finding *f)
{
	json_t *object = json_object();

	json_object_set_new(object, "area", json_string(f->area));
	if (f->sector != CHECK_NOWHERE)
		json_object_set_new(object, "sector", number(f->sector));
	json_object_set_new(object, "place", json_string(f->place));
	json_object_set_new(object, "field", json_string(f->field));
	json_object_set_new(object, "what", json_string(f->what));
	if (f->advice)
		json_object_set_new(object, "advice", json_string(f->advice));
	return object;
}

static json_t *summary_json(const struct check_summary *s)
{
	const struct {
		const char *name;
		u64 value;
		bool known;
	} numbers[] = {
		{ "mount", s->mount, true },
		{ "chunk_sectors", s->chunk_sectors, true },
		{ "block_sectors", s->block_sectors, true },
		{ "origin_sectors", s->origin_sectors, true },
		{ "device_sectors", s->device_sectors, true },
		{ "log_blocks", s->log_blocks, true },
		{ "meta_blocks", s->meta_blocks, true },
		{ "data_chunks", s->data_chunks, true },
		{ "max_entries", s->max_entries, true },
		{ "checkpoint", s->ckpt, true },
		{ "checkpoint_record", s->ckpt_seq, true },
		{ "checkpoint_exceptions", s->ckpt_exceptions, true },
		{ "checkpoint_snapshots", s->ckpt_snapshots, true },
		{ "tree_levels", s->depth, true },
		{ "tree_blocks", s->tree_blocks, true },
		{ "records", s->records, true },
		{ "record_sectors", s->record_sectors, true },
		{ "operations", s->ops, true },
		{ "changes", s->changes, true },
		{ "snapshots", s->snapshots, s->replayed },
		{ "next_first", s->next_first, s->replayed },
		{ "exceptions", s->exceptions, s->replayed },
		{ "garbage", s->garbage, s->replayed },
		{ "free_chunks", s->data_chunks - s->exceptions, s->replayed },
		{ "reclaim", s->reclaim, s->replayed },
		{ "cursor_chunk", s->cursor_chunk, s->replayed },
		{ "cursor_from", s->cursor_from, s->replayed },
	};
	json_t *object = json_object();

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (numbers[i].known)
			json_object_set_new(object, numbers[i].name, number(numbers[i].value));
	return object;
}

int check_print_json(const struct check_report *report, const char *name, FILE *out)
{
	static const char *const results[] = { "clean", "damaged", "impossible" };
	bool invalid = report->summary.error && !report->nr_errors;
	json_t *object = json_object(), *findings = json_array();
	int r;

	json_object_set_new(object, "image", json_stringn_nocheck(name, strlen(name)));
	json_object_set_new(object, "result",
			    json_string(invalid ? "invalid" : results[report->result]));
	if (*report->reason)
		json_object_set_new(object, "reason", json_string(report->reason));
	json_object_set_new(object, "errors", number(report->nr_errors));
	for (size_t i = 0; i < report->nr_findings; i++)
		json_array_append_new(findings, finding_json(&report->findings[i]));
	json_object_set_new(object, "findings", findings);
	if (report->summary.error)
		json_object_set_new(object, "error_mark", number(report->summary.error));
	if (report->summary.formatted)
		json_object_set_new(object, "summary", summary_json(&report->summary));
	r = json_dumpf(object, out, JSON_INDENT(2)) || fputc('\n', out) == EOF ? -EIO : 0;
	json_decref(object);
	return r;
}
