#include <assert.h>
#include <string.h>

#include "store/id.h"

#include "item_check.h"
#include "shape.h"

/* A row: what the caller sees, and what is checked. */
struct row {
	struct item_type		 type;
	const struct shape_field	*fields;
};

#define NEEDS(name, types)	{ name, types, true, NULL, NULL }
#define NEEDS_EACH(name, types, check)	{ name, types, true, NULL, check }
#define MAY(name, types)	{ name, types, false, NULL, NULL }
#define MAY_EACH(name, types, check)	{ name, types, false, NULL, check }
#define END			{ NULL, 0, false, NULL, NULL }

static shape_checker	 check_parts;

static const char *const roles[] = { "user", "assistant", "system",
	"developer", "unknown", "critic", "discriminator", "tool", NULL };
static const char *const states[] = { "in_progress", "completed",
	"incomplete", NULL };
static const char *const patch_states[] = { "in_progress", "completed", NULL };
static const char *const patched_states[] = { "completed", "failed", NULL };

#define STATUS	{ "status", SHAPE_STRING, false, states, NULL }

/* --- parts of content ----------------------------------------------------- */

static const struct shape_field text_part[] = {
	NEEDS("text", SHAPE_STRING), END };
static const struct shape_field output_text_part[] = {
	NEEDS("text", SHAPE_STRING),
	MAY_EACH("annotations", SHAPE_ARRAY, shape_objects),
	MAY_EACH("logprobs", SHAPE_ARRAY, shape_objects), END };
static const struct shape_field refusal_part[] = {
	NEEDS("refusal", SHAPE_STRING), END };
static const struct shape_field image_part[] = {
	MAY("image_url", SHAPE_STRING), MAY("file_id", SHAPE_STRING),
	MAY("detail", SHAPE_STRING), END };
static const struct shape_field file_part[] = {
	MAY("file_id", SHAPE_STRING), MAY("file_data", SHAPE_STRING),
	MAY("file_url", SHAPE_STRING), MAY("filename", SHAPE_STRING), END };

static const struct part {
	const char			*type;
	const struct shape_field	*fields;
} parts[] = {
	{ "input_text", text_part },
	{ "output_text", output_text_part },
	{ "text", text_part },
	{ "summary_text", text_part },
	{ "reasoning_text", text_part },
	{ "refusal", refusal_part },
	{ "input_image", image_part },
	{ "input_file", file_part },
	{ "computer_screenshot", image_part },
};

/* Parts of types that have no row are kept as they came. */
static bool
check_part(const json_t *part, const char *path, struct reply *rep)
{
	static const struct shape_field any[] = {
		NEEDS("type", SHAPE_STRING), END };
	const char *type;
	size_t i;

	if (!json_is_object(part))
		return (shape_bad_type(part, path, "an object", rep));
	if (!shape_check(part, any, path, rep))
		return (false);
	type = json_string_value(json_object_get(part, "type"));
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strcmp(parts[i].type, type) == 0)
			return (shape_check(part, parts[i].fields, path, rep));
	return (true);
}

/* The value may be a string too, where the row says so. */
static bool
check_parts(const json_t *value, const char *path, struct reply *rep)
{
	char at[SHAPE_PATH];
	const json_t *part;
	size_t i;

	if (!json_is_array(value))
		return (true);
	json_array_foreach(value, i, part) {
		shape_element(at, path, i);
		if (!check_part(part, at, rep))
			return (false);
	}
	return (true);
}

/* --- types of items ------------------------------------------------------- */

static const struct shape_field message[] = {
	{ "role", SHAPE_STRING, true, roles, NULL },
	NEEDS_EACH("content", SHAPE_STRING | SHAPE_ARRAY, check_parts),
	STATUS, MAY("phase", SHAPE_STRING), END };
static const struct shape_field function_call[] = {
	NEEDS("call_id", SHAPE_STRING), NEEDS("name", SHAPE_STRING),
	NEEDS("arguments", SHAPE_STRING), STATUS,
	MAY("namespace", SHAPE_STRING), END };
static const struct shape_field function_call_output[] = {
	NEEDS("call_id", SHAPE_STRING),
	NEEDS_EACH("output", SHAPE_STRING | SHAPE_ARRAY, check_parts),
	STATUS, END };
static const struct shape_field reasoning[] = {
	NEEDS_EACH("summary", SHAPE_ARRAY, check_parts),
	MAY_EACH("content", SHAPE_ARRAY, check_parts),
	MAY("encrypted_content", SHAPE_STRING), STATUS, END };
static const struct shape_field custom_tool_call[] = {
	NEEDS("call_id", SHAPE_STRING), NEEDS("name", SHAPE_STRING),
	NEEDS("input", SHAPE_STRING), END };
static const struct shape_field custom_tool_call_output[] = {
	NEEDS("call_id", SHAPE_STRING),
	NEEDS_EACH("output", SHAPE_STRING | SHAPE_ARRAY, check_parts), END };
static const struct shape_field web_search_call[] = {
	NEEDS("action", SHAPE_OBJECT), MAY("status", SHAPE_STRING), END };
static const struct shape_field file_search_call[] = {
	NEEDS_EACH("queries", SHAPE_ARRAY, shape_strings),
	MAY_EACH("results", SHAPE_ARRAY, shape_objects),
	MAY("status", SHAPE_STRING), END };
static const struct shape_field code_interpreter_call[] = {
	NEEDS("code", SHAPE_STRING | SHAPE_NULL),
	NEEDS("container_id", SHAPE_STRING),
	NEEDS_EACH("outputs", SHAPE_ARRAY | SHAPE_NULL, shape_objects),
	MAY("status", SHAPE_STRING), END };
static const struct shape_field image_generation_call[] = {
	NEEDS("result", SHAPE_STRING | SHAPE_NULL),
	MAY("status", SHAPE_STRING), END };
static const struct shape_field computer_call[] = {
	NEEDS("call_id", SHAPE_STRING), MAY("action", SHAPE_OBJECT),
	MAY_EACH("actions", SHAPE_ARRAY, shape_objects),
	MAY_EACH("pending_safety_checks", SHAPE_ARRAY, shape_objects),
	STATUS, END };
static const struct shape_field computer_call_output[] = {
	NEEDS("call_id", SHAPE_STRING), NEEDS("output", SHAPE_OBJECT),
	MAY_EACH("acknowledged_safety_checks", SHAPE_ARRAY, shape_objects),
	MAY("status", SHAPE_STRING), END };
static const struct shape_field local_shell_call[] = {
	NEEDS("call_id", SHAPE_STRING), NEEDS("action", SHAPE_OBJECT),
	STATUS, END };
static const struct shape_field local_shell_call_output[] = {
	NEEDS("id", SHAPE_STRING), NEEDS("output", SHAPE_STRING), STATUS,
	END };
static const struct shape_field shell_call[] = {
	NEEDS("call_id", SHAPE_STRING), NEEDS("action", SHAPE_OBJECT),
	MAY("environment", SHAPE_OBJECT), STATUS, END };
static const struct shape_field shell_call_output[] = {
	NEEDS("call_id", SHAPE_STRING),
	NEEDS_EACH("output", SHAPE_ARRAY, shape_objects),
	MAY("max_output_length", SHAPE_INTEGER), STATUS, END };
static const struct shape_field apply_patch_call[] = {
	NEEDS("call_id", SHAPE_STRING), NEEDS("operation", SHAPE_OBJECT),
	{ "status", SHAPE_STRING, true, patch_states, NULL }, END };
static const struct shape_field apply_patch_call_output[] = {
	NEEDS("call_id", SHAPE_STRING),
	{ "status", SHAPE_STRING, true, patched_states, NULL },
	MAY("output", SHAPE_STRING), END };
static const struct shape_field mcp_list_tools[] = {
	MAY("server_label", SHAPE_STRING),
	MAY_EACH("tools", SHAPE_ARRAY, shape_objects), END };
static const struct shape_field mcp_approval_request[] = {
	MAY("arguments", SHAPE_STRING), MAY("name", SHAPE_STRING),
	MAY("server_label", SHAPE_STRING), END };
static const struct shape_field mcp_approval_response[] = {
	NEEDS("approval_request_id", SHAPE_STRING),
	NEEDS("approve", SHAPE_BOOL), MAY("reason", SHAPE_STRING), END };
static const struct shape_field mcp_call[] = {
	MAY("arguments", SHAPE_STRING), MAY("name", SHAPE_STRING),
	MAY("server_label", SHAPE_STRING), MAY("output", SHAPE_STRING),
	MAY("status", SHAPE_STRING), END };
static const struct shape_field tools[] = {
	MAY("call_id", SHAPE_STRING), MAY("execution", SHAPE_STRING),
	MAY("status", SHAPE_STRING), MAY("role", SHAPE_STRING),
	MAY_EACH("tools", SHAPE_ARRAY, shape_objects), END };
static const struct shape_field program[] = {
	MAY("call_id", SHAPE_STRING), MAY("code", SHAPE_STRING),
	MAY("fingerprint", SHAPE_STRING), MAY("status", SHAPE_STRING), END };
static const struct shape_field compaction[] = {
	NEEDS("encrypted_content", SHAPE_STRING), END };
static const struct shape_field nothing[] = { END };

/*
 * has_status where WIRE.md lists a status that a client may leave out.  The
 * two of apply_patch must be sent.
 */
static const struct row rows[] = {
	{ { "message", "msg_", true }, message },
	{ { "function_call", "fc_", true }, function_call },
	{ { "function_call_output", "fco_", true }, function_call_output },
	{ { "reasoning", "rs_", true }, reasoning },
	{ { "custom_tool_call", "ctc_", false }, custom_tool_call },
	{ { "custom_tool_call_output", "ctco_", false },
	    custom_tool_call_output },
	{ { "web_search_call", "ws_", true }, web_search_call },
	{ { "file_search_call", "fs_", true }, file_search_call },
	{ { "code_interpreter_call", "ci_", true }, code_interpreter_call },
	{ { "image_generation_call", "ig_", true }, image_generation_call },
	{ { "computer_call", "cu_", true }, computer_call },
	{ { "computer_call_output", "cuo_", false }, computer_call_output },
	{ { "local_shell_call", "lsh_", true }, local_shell_call },
	{ { "local_shell_call_output", "lsho_", false },
	    local_shell_call_output },
	{ { "shell_call", "sh_", true }, shell_call },
	{ { "shell_call_output", "sho_", false }, shell_call_output },
	{ { "apply_patch_call", "ap_", false }, apply_patch_call },
	{ { "apply_patch_call_output", "apo_", false },
	    apply_patch_call_output },
	{ { "mcp_list_tools", "mcpl_", false }, mcp_list_tools },
	{ { "mcp_approval_request", "mcpr_", false }, mcp_approval_request },
	{ { "mcp_approval_response", "mcpa_", false },
	    mcp_approval_response },
	{ { "mcp_call", "mcp_", true }, mcp_call },
	{ { "tool_search_call", "tsc_", false }, tools },
	{ { "tool_search_output", "tso_", false }, tools },
	{ { "additional_tools", "at_", false }, tools },
	{ { "program", "prg_", false }, program },
	{ { "program_output", "prgo_", true }, program },
	{ { "compaction", "cmp_", false }, compaction },
};
static const struct row unknown_row = { { "", "item_", false }, nothing };

/* [a-z][a-z0-9_.:-]{0,63} */
static bool
is_type_name(const char *s, size_t len)
{
	size_t i;

	if (len < 1 || len > 64 || s[0] < 'a' || s[0] > 'z')
		return (false);
	for (i = 1; i < len; i++)
		if (!(s[i] >= 'a' && s[i] <= 'z') &&
		    !(s[i] >= '0' && s[i] <= '9') &&
		    (s[i] == '\0' || strchr("_.:-", s[i]) == NULL))
			return (false);
	return (true);
}

/* An item without a type is a message if it has a role. */
static const struct row *
find_row(const json_t *item, const char *path, struct reply *rep)
{
	const json_t *type = json_object_get(item, "type");
	char at[SHAPE_PATH];
	size_t i;

	shape_member(at, path, "type");
	if (type == NULL && json_object_get(item, "role") != NULL)
		return (&rows[0]);
	if (type == NULL) {
		(void)shape_missing(at, rep);
		return (NULL);
	}
	if (!json_is_string(type)) {
		(void)shape_bad_type(type, at, "a string", rep);
		return (NULL);
	}
	if (!is_type_name(json_string_value(type), json_string_length(type))) {
		reply_error(rep, 400, "invalid_value", at,
		    "Invalid value: '%.100s'. Expected the name of an item "
		    "type: a lower-case letter, then at most 63 of a-z, 0-9, "
		    "_, ., : and -.", json_string_value(type));
		return (NULL);
	}
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].type.name, json_string_value(type)) == 0)
			return (&rows[i]);
	return (&unknown_row);
}

/* Check an id that a client chose; false after an error reply. */
static bool
check_id(const json_t *id, const char *path, struct reply *rep)
{
	const char *s = json_string_value(id);
	size_t len = json_string_length(id);

	if (!json_is_string(id))
		return (shape_bad_type(id, path, "a string", rep));
	if (id_is_valid(s, len))
		return (true);
	if (shape_characters(s, len) > ID_MAX)
		return (shape_too_long(shape_characters(s, len), path, ID_MAX,
		    rep));
	reply_error(rep, 400, "invalid_value", path,
	    "Invalid value: '%s'. Expected an ID of 1 to %d letters, digits, "
	    "underscores, or dashes.", s, ID_MAX);
	return (false);
}

const struct item_type *
item_check(const json_t *item, const char *path, struct reply *rep)
{
	const struct row *row;
	const json_t *id;
	char at[SHAPE_PATH];

	if (!json_is_object(item)) {
		(void)shape_bad_type(item, path, "an object", rep);
		return (NULL);
	}
	assert(!item_is_reference(item));
	if ((row = find_row(item, path, rep)) == NULL)
		return (NULL);
	id = json_object_get(item, "id");
	shape_member(at, path, "id");
	if (id != NULL && !json_is_null(id) && !check_id(id, at, rep))
		return (NULL);
	if (!shape_check(item, row->fields, path, rep))
		return (NULL);
	return (&row->type);
}

bool
item_is_reference(const json_t *item)
{
	const json_t *type = json_object_get(item, "type");

	return (json_is_string(type) &&
	    strcmp(json_string_value(type), "item_reference") == 0);
}

bool
item_check_reference(const json_t *item, const char *path, struct reply *rep)
{
	static const struct shape_field fields[] = {
		NEEDS_EACH("id", SHAPE_STRING, check_id), END };

	return (shape_check(item, fields, path, rep));
}
