//! What is known of modules outside the program: the effect of calling what is in them. The longest known prefix of a
//! dotted path decides.

use super::external::Effect;
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// Nothing that anybody can observe: values are computed, read from memory or from files.
const PURE: &str = "
    builtins
    abc array ast base64 binascii bisect calendar cmath codecs collections colorsys contextlib copy csv dataclasses
    datetime decimal difflib email enum errno fnmatch fractions functools graphlib hashlib heapq hmac html inspect io
    ipaddress itertools json keyword locale math mimetypes numbers operator pprint quopri random re reprlib secrets
    shlex statistics string struct textwrap time timeit tomllib traceback types typing typing_extensions unicodedata
    urllib.parse uuid warnings weakref xml zlib zoneinfo
    os.path os.environ os.getenv os.fspath os.getcwd os.urandom pathlib.PurePath pathlib.PurePosixPath
    threading.local threading.Lock threading.RLock asyncio.Lock http.HTTPStatus
    sys.getsizeof sys.intern sys.exc_info sys.getrecursionlimit

    django.apps django.conf django.core.checks django.core.exceptions django.core.files.File django.core.files.base
    django.core.files.images.ImageFile django.core.files.uploadedfile django.core.management.base
    django.core.paginator django.core.serializers django.core.signing django.core.validators
    django.contrib.auth.get_user_model django.contrib.auth.hashers django.contrib.auth.tokens
    django.contrib.gis django.contrib.humanize django.contrib.postgres
    django.db.models django.db.utils django.db.Error django.db.DatabaseError django.db.DataError django.db.IntegrityError
    django.db.OperationalError django.db.ProgrammingError
    django.forms django.http django.shortcuts django.template django.templatetags django.test.RequestFactory
    django.test.client.RequestFactory django.urls django.utils

    rest_framework.exceptions rest_framework.response rest_framework.reverse rest_framework.settings
    rest_framework.status rest_framework.utils
    django_countries djmoney.money moneyed phonenumber_field.phonenumber phonenumbers prices pycountry stdnum schwifty

    arrow astral ciso8601 croniter dateparser dateutil holidays icalendar isodate iso8601 pendulum pytz recurrence
    tzlocal workalendar
    babel bleach bs4 chardet charset_normalizer commonmark cssselect defusedxml docutils ftfy html2text html5lib
    humanize inflect inflection jellyfish jinja2 langcodes langdetect Levenshtein lxml markdown markdown2 markdownify
    markupsafe mistune nameparser nh3 parse pygments pyparsing rapidfuzz regex slugify stringcase text_unidecode
    textblob thefuzz titlecase unidecode
    cbor2 jsonschema msgpack orjson rapidjson ruamel simplejson toml tomli tomlkit ujson xmltodict yaml
    attr attrs cattrs marshmallow pydantic validators
    geohash geopy.distance haversine networkx numpy pandas pint pyproj scipy shapely sympy
    docx odf openpyxl PIL prettytable pyexcel pypdf PyPDF2 qrcode reportlab tablib tabulate xlrd xlsxwriter xlwt
    boltons cytoolz frozendict funcy glom more_itertools sortedcontainers toolz
    argon2 bcrypt cryptography hashids itsdangerous jose jwt ksuid nacl nanoid passlib pyotp shortuuid ulid zxcvbn
    bson.objectid colorama faker packaging semver six termcolor ua_parser user_agents
";

/// A log line, a report, progress on a terminal.
const LOG: &str = "
    builtins.print
    logging sys.stderr sys.stdout syslog
    django.contrib.messages django.core.management.base.OutputWrapper
    bugsnag click.echo click.secho ddtrace elasticapm icecream logbook loguru newrelic opentelemetry progressbar
    prometheus_client raven rich rollbar sentry_sdk statsd structlog tqdm
";

/// Acts on the world.
const OUTSIDE: &str = "
    builtins.input builtins.open
    asyncio concurrent ftplib http imaplib multiprocessing os pathlib poplib shutil signal smtplib socket ssl subprocess
    tarfile tempfile threading urllib webbrowser xmlrpc zipfile
    django.core.cache django.core.files django.core.mail
    asgiref channels
    apscheduler arq background_task celery django_q django_rq dramatiq huey kombu procrastinate rq taskiq
    aiohttp botocore boto3 elasticsearch elasticsearch_dsl feedparser google httpx kafka ldap ldap3 meilisearch minio
    openai opensearchpy paramiko pika pusher pymongo redis requests sendgrid slack_sdk stripe twilio urllib3 zeep
";

/// May run any SQL or any code of the project.
const ANYTHING: &str = "
    builtins.eval builtins.exec
    importlib
    django.contrib.auth.authenticate django.contrib.auth.login django.contrib.auth.logout
    django.contrib.auth.update_session_auth_hash
    django.core.management.call_command django.db.backends django.db.connection django.db.connections django.dispatch
    django.db.models.signals django.test
    factory mixer model_bakery
    pandas.DataFrame.to_sql pandas.read_sql pandas.read_sql_query pandas.read_sql_table
";

/// Calls that are pure although their module is not: what is made acts only when a method of it is called.
const PURE_CALLS: &[&str] = &[
    "django.core.mail.EmailMessage",
    "django.core.mail.EmailMessage.attach",
    "django.core.mail.EmailMultiAlternatives",
    "django.core.mail.EmailMultiAlternatives.attach",
    "django.core.mail.EmailMultiAlternatives.attach_alternative",
    "django.core.mail.message.EmailMessage",
    "django.core.mail.message.EmailMultiAlternatives",
    "pathlib.Path",
    "pathlib.Path.exists",
    "pathlib.Path.is_dir",
    "pathlib.Path.is_file",
    "pathlib.Path.joinpath",
    "pathlib.Path.relative_to",
    "pathlib.Path.resolve",
    "pathlib.Path.with_name",
    "pathlib.Path.with_suffix",
];

/// The effect of calling `path`, where its module is known.
pub(super) fn known(path: &str) -> Option<Effect> {
    static TABLE: LazyLock<FxHashMap<&'static str, Effect>> = LazyLock::new(|| {
        let parts = [
            (PURE, Effect::Pure),
            (LOG, Effect::Log),
            (OUTSIDE, Effect::Outside),
            (ANYTHING, Effect::Anything),
            ("django.db.transaction", Effect::Transaction),
        ];
        parts
            .iter()
            .flat_map(|(names, effect)| names.split_whitespace().map(|name| (name, *effect)))
            .collect()
    });
    if PURE_CALLS.contains(&path) {
        return Some(Effect::Pure);
    }
    let shorter = path.rmatch_indices('.').map(|(end, _)| end);
    std::iter::once(path.len()).chain(shorter).find_map(|end| TABLE.get(path.get(..end)?).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_known_prefix_decides() {
        for (path, effect) in [
            ("os.remove", Some(Effect::Outside)),
            ("os.path.join", Some(Effect::Pure)),
            ("osprey.run", None),
            ("pathlib.Path", Some(Effect::Pure)),
            ("pathlib.Path.write_text", Some(Effect::Outside)),
            ("django.db.models.Q", Some(Effect::Pure)),
            ("django.db.models.signals.post_save.send", Some(Effect::Anything)),
            ("django.core.management.base.OutputWrapper.write", Some(Effect::Log)),
            ("django.db.transaction.on_commit", Some(Effect::Transaction)),
            ("django.core.mail.EmailMessage", Some(Effect::Pure)),
            ("django.core.mail.EmailMessage.send", Some(Effect::Outside)),
            ("django.contrib.auth.login", Some(Effect::Anything)),
            ("django.contrib.auth.hashers.make_password", Some(Effect::Pure)),
            ("slugify.slugify", Some(Effect::Pure)),
            ("sentry_sdk.capture_exception", Some(Effect::Log)),
            ("tqdm.tqdm", Some(Effect::Log)),
            ("celery.current_app.send_task", Some(Effect::Outside)),
            ("pandas.isna", Some(Effect::Pure)),
            ("pandas.DataFrame.to_sql", Some(Effect::Anything)),
            ("vendor.do", None),
        ] {
            assert_eq!(known(path), effect, "{path}");
        }
    }

    #[test]
    fn no_module_is_named_twice() {
        let mut names: Vec<&str> =
            [PURE, LOG, OUTSIDE, ANYTHING].iter().flat_map(|part| part.split_whitespace()).collect();
        names.sort_unstable();
        let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }
}
