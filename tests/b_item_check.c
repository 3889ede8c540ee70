/* fcgi/item_check, shape: every type of item, and every field that is wrong. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/item_check.h"
#include "fcgi/shape.h"

#include "fake_request.h"

FAKE_TENANT

/* One item of each type with just what it needs. */
static const struct {
	const char	*type, *prefix;
	bool		 has_status;
	const char	*item;
} types[] = {
	{ "message", "msg_", true, "{'role':'user','content':'x'}" },
	{ "message", "msg_", true, "{'type':'message','role':'assistant',"
	    "'content':[{'type':'output_text','text':''},"
	    "{'type':'refusal','refusal':'no'},{'type':'new','x':1}]}" },
	{ "message", "msg_", true, "{'type':'message','role':'developer',"
	    "'phase':'commentary','content':[{'type':'input_image',"
	    "'image_url':null,'file_id':'f','detail':'auto'},"
	    "{'type':'input_file','filename':'a'}]}" },
	{ "function_call", "fc_", true, "{'type':'function_call','call_id':"
	    "'c','name':'f','arguments':''}" },
	{ "function_call_output", "fco_", true, "{'type':"
	    "'function_call_output','call_id':'c','output':''}" },
	{ "function_call_output", "fco_", true, "{'type':"
	    "'function_call_output','call_id':'c','output':"
	    "[{'type':'input_text','text':''}]}" },
	{ "reasoning", "rs_", true, "{'type':'reasoning','summary':[]}" },
	{ "custom_tool_call", "ctc_", false, "{'type':'custom_tool_call',"
	    "'call_id':'c','name':'n','input':''}" },
	{ "custom_tool_call_output", "ctco_", false, "{'type':"
	    "'custom_tool_call_output','call_id':'c','output':''}" },
	{ "web_search_call", "ws_", true, "{'type':'web_search_call',"
	    "'action':{'type':'search'}}" },
	{ "file_search_call", "fs_", true, "{'type':'file_search_call',"
	    "'queries':['a'],'results':null}" },
	{ "code_interpreter_call", "ci_", true, "{'type':"
	    "'code_interpreter_call','code':null,'container_id':'c',"
	    "'outputs':null}" },
	{ "image_generation_call", "ig_", true, "{'type':"
	    "'image_generation_call','result':null}" },
	{ "computer_call", "cu_", true, "{'type':'computer_call','call_id':"
	    "'c'}" },
	{ "computer_call_output", "cuo_", false, "{'type':"
	    "'computer_call_output','call_id':'c','output':{}}" },
	{ "local_shell_call", "lsh_", true, "{'type':'local_shell_call',"
	    "'call_id':'c','action':{}}" },
	{ "local_shell_call_output", "lsho_", false, "{'type':"
	    "'local_shell_call_output','id':'i','output':''}" },
	{ "shell_call", "sh_", true, "{'type':'shell_call','call_id':'c',"
	    "'action':{},'environment':null}" },
	{ "shell_call_output", "sho_", false, "{'type':'shell_call_output',"
	    "'call_id':'c','output':[{}]}" },
	{ "apply_patch_call", "ap_", false, "{'type':'apply_patch_call',"
	    "'call_id':'c','operation':{},'status':'completed'}" },
	{ "apply_patch_call_output", "apo_", false, "{'type':"
	    "'apply_patch_call_output','call_id':'c','status':'failed'}" },
	{ "mcp_list_tools", "mcpl_", false, "{'type':'mcp_list_tools'}" },
	{ "mcp_approval_request", "mcpr_", false, "{'type':"
	    "'mcp_approval_request'}" },
	{ "mcp_approval_response", "mcpa_", false, "{'type':"
	    "'mcp_approval_response','approval_request_id':'a','approve':"
	    "false}" },
	{ "mcp_call", "mcp_", true, "{'type':'mcp_call','error':'e'}" },
	{ "tool_search_call", "tsc_", false, "{'type':'tool_search_call',"
	    "'arguments':{},'call_id':null}" },
	{ "tool_search_output", "tso_", false, "{'type':"
	    "'tool_search_output','tools':[]}" },
	{ "additional_tools", "at_", false, "{'type':'additional_tools',"
	    "'role':'developer','tools':[{}]}" },
	{ "program", "prg_", false, "{'type':'program','call_id':'c'}" },
	{ "program_output", "prgo_", true, "{'type':'program_output'}" },
	{ "compaction", "cmp_", false, "{'type':'compaction',"
	    "'encrypted_content':''}" },
	{ "", "item_", false, "{'type':'future.thing-1:x_y','role':7}" },
};

/* Quotes as in the tables here to JSON's. */
static json_t *
read_json(const char *text)
{
	char copy[1024], *p;
	json_t *json;

	assert_true(strlen(text) < sizeof(copy));
	(void)strcpy(copy, text);
	for (p = copy; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	json = json_loads(copy, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	assert_non_null(json);
	return (json);
}

static void
takes_every_type(void **state)
{
	const struct item_type *type;
	struct reply rep;
	json_t *item;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(types); i++) {
		reply_init(&rep);
		item = read_json(types[i].item);
		type = item_check(item, "items[0]", &rep);
		if (type == NULL)
			fail_msg("%s: %.*s", types[i].item,
			    (int)rep.body.len, rep.body.data);
		assert_string_equal(type->name, types[i].type);
		assert_string_equal(type->prefix, types[i].prefix);
		assert_int_equal(type->has_status, types[i].has_status);
		json_decref(item);
		reply_fini(&rep);
	}
}

/*
 * Each member of those items (but the one without a type) in turn: taken
 * away it is missed or was optional, and in a wrong type it is told by its
 * path.
 */
static void
tells_every_wrong_field(void **state)
{
	char path[64], end[128];
	const char *name;
	json_t *item, *changed, *value;
	struct fake f;
	size_t i, missed = 0;

	(void)state;
	for (i = 1; i < NELEMS(types) - 1; i++) {
		item = read_json(types[i].item);
		json_object_foreach(item, name, value) {
			/* Another type, or a message if there is a role. */
			if (strcmp(name, "type") == 0)
				continue;
			(void)sprintf(path, "items[3].%s", name);
			memset(&f, 0, sizeof(f));
			reply_init(&f.rep);
			changed = json_copy(item);
			(void)json_object_del(changed, name);
			if (item_check(changed, "items[3]", &f.rep) == NULL) {
				(void)sprintf(end, "Missing required "
				    "parameter: '%s'.", path);
				fake_assert_error(&f, 400,
				    "missing_required_parameter", path, end);
				missed++;
			}
			reply_fini(&f.rep);
			json_decref(changed);
			if (strcmp(name, "arguments") == 0 ||
			    strcmp(name, "error") == 0)
				continue;
			reply_init(&f.rep);
			changed = json_copy(item);
			(void)json_object_set_new(changed, name,
			    json_real(0.5));
			assert_null(item_check(changed, "items[3]", &f.rep));
			fake_assert_error(&f, 400, "invalid_type", path,
			    "but got a decimal number instead.");
			reply_fini(&f.rep);
			json_decref(changed);
		}
		json_decref(item);
	}
	/* As many as the types above need, type aside. */
	assert_int_equal(missed, 42);
}

static void
refuses(void **state)
{
	static const struct {
		const char	*item, *code, *param, *end;
	} cases[] = {
		{ "7", "invalid_type", "items[0]", "Invalid type for "
		    "'items[0]': expected an object, but got an integer "
		    "instead." },
		{ "null", "invalid_type", "items[0]", "got null instead." },
		{ "[]", "invalid_type", "items[0]", "got an array instead." },
		{ "{}", "missing_required_parameter", "items[0].type",
		    "Missing required parameter: 'items[0].type'." },
		{ "{'type':null,'role':'user'}", "invalid_type",
		    "items[0].type", "Invalid type for 'items[0].type': "
		    "expected a string, but got null instead." },
		{ "{'type':'Upper'}", "invalid_value", "items[0].type",
		    "_, ., : and -." },
		{ "{'type':''}", "invalid_value", "items[0].type", "" },
		{ "{'type':'a/b'}", "invalid_value", "items[0].type", "" },
		{ "{'type':'a\\u0000'}", "invalid_value", "items[0].type",
		    "" },
		{ "{'type':'a2345678901234567890123456789012345678901234567"
		    "890123456789012345'}", "invalid_value", "items[0].type",
		    "" },
		{ "{'role':'pirate','content':''}", "invalid_value",
		    "items[0].role", "Invalid value: 'pirate'. Supported "
		    "values are: 'user', 'assistant', 'system', 'developer', "
		    "'unknown', 'critic', 'discriminator', and 'tool'." },
		{ "{'role':'user\\u0000','content':''}", "invalid_value",
		    "items[0].role", "" },
		{ "{'role':'user','content':5}", "invalid_type",
		    "items[0].content", "Invalid type for "
		    "'items[0].content': expected one of a string or array "
		    "of objects, but got an integer instead." },
		{ "{'role':'user','content':null}", "invalid_type",
		    "items[0].content", "got null instead." },
		{ "{'role':'user','content':['x']}", "invalid_type",
		    "items[0].content[0]", "expected an object, but got a "
		    "string instead." },
		{ "{'role':'user','content':[{},{'text':''}]}",
		    "missing_required_parameter", "items[0].content[0].type",
		    "Missing required parameter: "
		    "'items[0].content[0].type'." },
		{ "{'role':'user','content':[{'type':'new'},"
		    "{'type':'input_text'}]}", "missing_required_parameter",
		    "items[0].content[1].text", "" },
		{ "{'role':'user','content':[{'type':'output_text','text':'',"
		    "'annotations':[1]}]}", "invalid_type",
		    "items[0].content[0].annotations[0]", "" },
		{ "{'role':'user','content':'','status':'maybe'}",
		    "invalid_value", "items[0].status", "Invalid value: "
		    "'maybe'. Supported values are: 'in_progress', "
		    "'completed', and 'incomplete'." },
		{ "{'type':'apply_patch_call_output','call_id':'c','status':"
		    "'done'}", "invalid_value", "items[0].status",
		    "'completed' and 'failed'." },
		{ "{'type':'file_search_call','queries':['a',1]}",
		    "invalid_type", "items[0].queries[1]", "expected a "
		    "string, but got an integer instead." },
		{ "{'type':'x','id':5}", "invalid_type", "items[0].id",
		    "expected a string, but got an integer instead." },
		{ "{'type':'x','id':''}", "invalid_value", "items[0].id",
		    "" },
		{ "{'type':'x','id':'a b'}", "invalid_value", "items[0].id",
		    "Invalid value: 'a b'. Expected an ID of 1 to 64 letters, "
		    "digits, underscores, or dashes." },
		{ "{'type':'x','id':'a\\u0000'}", "invalid_value",
		    "items[0].id", "" },
		{ "{'type':'x','id':'a234567890123456789012345678901234567890"
		    "1234567890123456789012345'}", "string_above_max_length",
		    "items[0].id", "maximum length 64, but got a string with "
		    "length 65 instead." },
	};
	struct fake f;
	json_t *item;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		memset(&f, 0, sizeof(f));
		reply_init(&f.rep);
		item = read_json(cases[i].item);
		assert_null(item_check(item, "items[0]", &f.rep));
		fake_assert_error(&f, 400, cases[i].code, cases[i].param,
		    cases[i].end);
		json_decref(item);
		reply_fini(&f.rep);
	}
}

static void
knows_references(void **state)
{
	json_t *item = read_json("{'type':'item_reference','id':'a'}");
	struct fake f;

	(void)state;
	memset(&f, 0, sizeof(f));
	reply_init(&f.rep);
	assert_true(item_is_reference(item));
	assert_true(item_check_reference(item, "input[0]", &f.rep));
	(void)json_object_set_new(item, "id", json_string("a/b"));
	assert_false(item_check_reference(item, "input[0]", &f.rep));
	fake_assert_error(&f, 400, "invalid_value", "input[0].id", "dashes.");
	(void)json_object_set_new(item, "type", json_string("x"));
	assert_false(item_is_reference(item));
	json_decref(item);
	item = read_json("7");
	assert_false(item_is_reference(item));
	json_decref(item);
	reply_fini(&f.rep);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_every_type),
		cmocka_unit_test(tells_every_wrong_field),
		cmocka_unit_test(refuses),
		cmocka_unit_test(knows_references),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
