/*
 * Who may ask, over FastCGI: tokens, scopes, and the operator's calls, to a
 * daemon and without one.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "fcgi/admin.h"
#include "store/log.h"
#include "store/store.h"

#include "daemon.h"

#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))

/* --- callers -------------------------------------------------------------- */

static void
tokens_speak_for_one_user(void **state)
{
	char ann[1024], reader[1024], uri[256];
	json_t *json;

	(void)state;
	json = daemon_admin("POST", "/admin/v1/tenants/acme/tokens",
	    "{\"sub\":\"ann\",\"ttl\":60}");
	daemon_assert_error(json, 400, "no_jwt_key", NULL, "add one first.");
	json_decref(json);
	json_decref(daemon_admin("POST", "/admin/v1/tenants/acme/jwt-keys",
	    "{}"));
	assert_int_equal(daemon_status, 200);
	json = daemon_admin("POST", "/admin/v1/tenants/acme/tokens",
	    "{\"sub\":\"ann\",\"ttl\":\"30d\"}");
	(void)strcpy(ann, daemon_text(json, "token"));
	json_decref(json);
	json = daemon_admin("POST", "/admin/v1/tenants/acme/tokens",
	    "{\"sub\":\"ann\",\"scope\":\"read\"}");
	(void)strcpy(reader, daemon_text(json, "token"));
	json_decref(json);

	json = daemon_good(ann, "POST", "/v1/conversations", NULL, "{}");
	assert_string_equal(daemon_text(json, "user"), "ann");
	(void)sprintf(uri, "/v1/conversations/%s", daemon_text(json, "id"));
	json_decref(json);
	json_decref(daemon_good(reader, "GET", uri, NULL, ""));
	json_decref(daemon_good(daemon_key, "GET", uri, NULL, ""));
	json = daemon_ask(reader, "DELETE", uri, NULL, "");
	daemon_assert_error(json, 403, "insufficient_scope", NULL, "'write'.");
	json_decref(json);
	json = daemon_ask(ann, "POST", "/v1/conversations", NULL,
	    "{\"user\":\"bob\"}");
	daemon_assert_error(json, 403, "insufficient_scope", "user",
	    "another user.");
	json_decref(json);
	json = daemon_ask(daemon_other_key, "GET", uri, NULL, "");
	daemon_assert_error(json, 404, NULL, NULL, "not found.");
	json_decref(json);
	json = daemon_good(ann, "GET", "/v1/conversations?user=bob", NULL, "");
	assert_int_equal(json_array_size(json_object_get(json, "data")), 1);
	json_decref(json);
	json = daemon_ask("rk_acme_x", "GET", uri, NULL, "");
	daemon_assert_error(json, 401, "invalid_api_key", NULL, "provided.");
	json_decref(json);
}

static void
the_operator_is_answered(void **state)
{
	static const struct {
		const char	*method, *uri, *body;
		int		 status;
		const char	*code, *param;
	} cases[] = {
		{ "POST", "/admin/v1/tenants", "{\"name\":\"acme\"}", 409,
		    "already_exists", NULL },
		{ "POST", "/admin/v1/tenants", "{\"name\":\"../x\"}", 400,
		    "invalid_value", "name" },
		{ "POST", "/admin/v1/tenants", "{}", 400,
		    "missing_required_parameter", "name" },
		{ "POST", "/admin/v1/tenants", "{\"nom\":\"x\"}", 400,
		    "unknown_parameter", "nom" },
		{ "GET", "/admin/v1/tenants/nobody/keys", "", 404, NULL,
		    NULL },
		{ "DELETE", "/admin/v1/tenants/acme/keys/key_x", "", 404,
		    NULL, NULL },
		{ "DELETE", "/admin/v1/tenants/acme/keys/a%2Fb", "", 404,
		    NULL, NULL },
		{ "PUT", "/admin/v1/tenants", "{}", 405, NULL, NULL },
		{ "GET", "/admin/v1/tenants/acme/tokens", "", 405,
		    "method_not_supported", NULL },
		{ "GET", "/admin/v1/nothing", "", 404, NULL, NULL },
		{ "POST", "/admin/v1/tenants/acme/jwt-keys",
		    "{\"secret\":\"short\"}", 400, "invalid_value",
		    "secret" },
		{ "POST", "/admin/v1/tenants/acme/jwt-keys",
		    "{\"kid\":\"a b\"}", 400, "invalid_value", "kid" },
		{ "POST", "/admin/v1/tenants/acme/tokens",
		    "{\"sub\":\"x\",\"scope\":\"reed\"}", 400,
		    "invalid_value", "scope" },
		{ "POST", "/admin/v1/tenants/acme/tokens",
		    "{\"sub\":\"x\",\"ttl\":\"soon\"}", 400, "invalid_value",
		    "ttl" },
		{ "GET", "/v1/conversations", "", 404, NULL, NULL },
	};
	json_t *json, *list;
	char uri[256], *dump;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		json = daemon_admin(cases[i].method, cases[i].uri,
		    cases[i].body);
		if (daemon_status == 405)
			assert_non_null(json_object_get(json, "error"));
		else
			daemon_assert_error(json, cases[i].status,
			    cases[i].code,
			    cases[i].param, "");
		assert_int_equal(daemon_status, cases[i].status);
		json_decref(json);
	}
	json = daemon_admin("POST", "/admin/v1/tenants/other/keys",
	    "{\"label\":\"spare\"}");
	assert_int_equal(daemon_status, 200);
	list = daemon_admin("GET", "/admin/v1/tenants/other/keys", "");
	dump = json_dumps(list, 0);
	assert_non_null(strstr(dump, daemon_text(json, "id")));
	assert_non_null(strstr(dump, "spare"));
	assert_null(strstr(dump, daemon_text(json, "key")));
	free(dump);
	json_decref(list);
	json_decref(daemon_good(daemon_text(json, "key"), "GET",
	    "/v1/conversations", NULL,
	    ""));
	(void)sprintf(uri, "/admin/v1/tenants/other/keys/%s",
	    daemon_text(json, "id"));
	json_decref(daemon_admin("DELETE", uri, ""));
	assert_int_equal(daemon_status, 200);
	json_decref(daemon_ask(daemon_text(json, "key"), "GET",
	    "/v1/conversations", NULL,
	    ""));
	assert_int_equal(daemon_status, 401);
	json_decref(json);
	json = daemon_admin("GET", "/admin/v1/status", "");
	assert_int_equal(daemon_number(json, "tenants"), 2);
	assert_string_equal(daemon_text(json, "health"), "ok");
	json_decref(json);
	json_decref(daemon_admin("POST", "/admin/v1/flush", ""));
	assert_int_equal(daemon_status, 202);
	json = daemon_admin("POST", "/admin/v1/rotate", "");
	assert_int_equal(daemon_status, 200);
	(void)strcpy(uri, daemon_text(json, "open"));
	json_decref(json);
	json_decref(daemon_admin("POST", "/admin/v1/tenants",
	    "{\"name\":\"third\"}"));
	json = daemon_admin("POST", "/admin/v1/rotate", "");
	assert_true(strcmp(daemon_text(json, "open"), uri) > 0);
	json_decref(json);
	json_decref(daemon_admin("GET", "/admin/v1/rotate", ""));
	assert_int_equal(daemon_status, 405);
}

/* --- the store without a daemon ------------------------------------------- */

static void
the_operator_needs_no_daemon(void **state)
{
	struct store_options o = { .flush_ms = 60000, .keep_ms = 3600000,
		.journal_limit = 64 << 20, .journal_segment = 16 << 20,
		.once_limit = 4096 };
	struct edge offline;
	struct conf *conf;
	json_t *json;
	char minted[256];
	pid_t holder;

	(void)state;
	assert_int_equal(daemon_stop(SIGTERM), 0);
	assert_int_equal(conf_load(daemon_conf, &conf), 0);
	o.dir = conf->store;
	memset(&offline, 0, sizeof(offline));
	offline.conf = conf;
	log_set_level(LOG_LEVEL_WARN);
	assert_int_equal(store_open(&o, &offline.store, &holder), 0);
	assert_int_equal(admin_call(&offline, "GET", "/admin/v1/tenants",
	    NULL, 0, &json), 200);
	assert_int_equal(json_array_size(json_object_get(json, "data")), 3);
	json_decref(json);
	assert_int_equal(admin_call(&offline, "POST",
	    "/admin/v1/tenants/acme/keys", NULL, 0, &json), 200);
	(void)strcpy(minted, daemon_text(json, "key"));
	json_decref(json);
	assert_int_equal(admin_call(&offline, "POST", "/admin/v1/flush",
	    NULL, 0, &json), 202);
	json_decref(json);
	assert_int_equal(admin_call(&offline, "GET",
	    "/admin/v1/tenants/nobody/keys", NULL, 0, &json), 404);
	json_decref(json);
	assert_int_equal(store_close(offline.store), 0);
	conf_free(conf);
	daemon_start();
	json_decref(daemon_good(minted, "GET", "/v1/conversations", NULL, ""));
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_speak_for_one_user),
		cmocka_unit_test(the_operator_is_answered),
		cmocka_unit_test(the_operator_needs_no_daemon),
	};

	if (argc < 1 || daemon_find(argv[0]) == -1)
		return (77);
	return (cmocka_run_group_tests(tests, daemon_set_up,
	    daemon_tear_down));
}
