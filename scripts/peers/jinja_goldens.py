"""Writes tests/golden/jinja.json: templates with the texts that Jinja2 makes of them, or null where it raises an error.

usage: ENV/bin/python scripts/peers/jinja_goldens.py [OUT]      (ENV holds jinja2)

Each is rendered as lm-evaluation-harness renders prompts and as transformers renders chats; `chats` are templates in the manner of published
models, written for this test.
"""

import json
import re
import sys
from pathlib import Path

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "tests/golden/jinja.json")
CONTEXT = {
    "a": "Hello World",
    "b": ["x", "y", "z"],
    "n": 5,
    "small": 1e-05,
    "half": 2.5,
    "yes": True,
    "none": None,
    "d": {"k": 1, "z": [1, 2, {"q": "it's"}], "s": '"dq"'},
    "u": "héllo ÀÉ 日本 🎉",
    "messages": [
        {"role": "system", "content": "sys"},
        {"role": "user", "content": "hi\nthere"},
        {"role": "assistant", "content": " ok "},
    ],
    "neg": -7,
    "big": 12345678901234567,
}
CASES = r"""{{ a }}|{{a|upper}}|{{a.lower()}}|{{a[0]}}|{{a[-1]}}|{{a[1:4]}}|{{a[::-1]}}|{{a|length}}
{{ b }}|{{ b|join(", ") }}|{{ b.1 }}|{{ b|first }}{{ b|last }}|{{ b|reverse|list }}|{{ b[:2] }}
{{ d }}|{{ d.z[2].q }}|{{ d|tojson }}|{{ d|tojson(indent=2) }}|{{ d.items()|list }}|{{ d.get('no', 'x') }}|{{ d.get('no') }}
{{ n+2 }}|{{ n/2 }}|{{ n//2 }}|{{ n%3 }}|{{ neg//2 }}|{{ neg%3 }}|{{ neg%-3 }}|{{ 2**10 }}|{{ 2**-1 }}|{{ -n }}|{{ n*1.5 }}
{{ small }}|{{ half }}|{{ yes }}|{{ none }}|{{ big }}|{{ 1.0 }}|{{ 1e100 }}|{{ 0.1+0.2 }}|{{ 1e16 }}
{{ u|upper }}|{{ u|length }}|{{ u[1] }}|{{ [u] }}|{{ u|title }}|{{ u|capitalize }}|{{ 'Straße'|upper }}
{% for m in messages %}{{ loop.index }}/{{ loop.length }}:{{ m.role }}={{ m['content']|trim }}{% if not loop.last %};{% endif %}{% endfor %}
{% for m in messages if m.role != 'system' %}{{ loop.first }}{{ loop.revindex }}{{ m.role }}{% else %}none{% endfor %}
{% for x in [] %}a{% else %}empty{% endfor %}|{% for k, v in d.items() %}{{ k }}={{ v }},{% endfor %}|{% for c in a %}{{ c }}.{% endfor %}
{% set x = 1 %}{% for i in range(3) %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}
{% set ns = namespace(c=0) %}{% for i in range(4) %}{% set ns.c = ns.c + i %}{% endfor %}{{ ns.c }}
{{ 'x' if n == 5 else 'y' }}|{{ 'x' if n == 6 }}|{% if n > 9 %}A{% elif n %}B{% else %}C{% endif %}
{{ a is string }}{{ half is float }}{{ d is mapping }}{{ none is none }}{{ nope is defined }}{{ a is not none }}{{ n is divisibleby 5 }}
{{ 'lo' in a }}|{{ 'x' in b }}|{{ 'k' in d }}|{{ 'q' not in b }}|{{ 1 < 2 < 3 }}|{{ 1 < 3 < 2 }}|{{ 1 == 1.0 }}|{{ (1,) == [1] }}
{{ nope|default('dd') }}|{{ ''|default('e', true) }}|{{ "a" ~ 1 ~ none }}|{{ 'it\'s' }}|{{ "tab\tnl\n\u00e9" }}
{{ [1,2]+[3] }}|{{ (1,) }}|{{ () }}|{{ {'a': 1, 'b': [2]} }}|{{ "ab"*3 }}
{% macro m(x, y='d') %}[{{ x }}-{{ y }}]{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(y=3, x=4) }}
{% raw %}{{ not }} {% x %}{% endraw %}{# comment #}x{#- c -#} y
{% filter upper %}abc{{ n }}{% endfilter %}|{% set t | trim | upper %} bb {% endset %}{{ t }}
{{ a.split() }}|{{ 'a,b,c'.split(',', 1) }}|{{ 'a,b,c'.rsplit(',', 1) }}|{{ a.replace('o', '0') }}|{{ a.endswith(('x', 'ld')) }}|{{ 'xxhix'.strip('x') }}
{{ messages|map(attribute='role')|join(',') }}|{{ messages|selectattr('role', '==', 'user')|list|length }}|{{ b|map('upper')|list }}|{{ [1,2,3]|select('odd')|list }}
{{ [3,1,2]|sort }}|{{ ['b','A']|sort }}|{{ [1,1,2]|unique|list }}|{{ [1,5]|max }}|{{ [1,2.5]|sum }}
{{ 3.7|int }}|{{ 'x'|int(7) }}|{{ '3.5'|float }}|{{ 3.14159|round(2) }}|{{ 2.5|round }}|{{ 42|string }}
{{ 'a\nb\n\nc'|indent(2) }}|{{ "<a href='x'>"|e }}|{{ "<x>"|tojson }}|{{ 'ab12'|replace('1', 'x') }}
{% for i in [1,1,2] %}{{ loop.changed(i) }}{{ loop.cycle('p', 'q') }}{% endfor %}
{{ 'A'|lower }}{{- 'B' -}} c {%- if yes -%} d {%- endif -%} e
{{ ["it's", 'a"b', "a'b\"c", "\n\t\\"] }}|{{ '%' }}|{{ '{{' }}
{{ ['A','B'].index('B') }}|{{ 'abc'.find('c') }}|{{ 2 + 3 * 4 }}|{{ 10 - 3 - 2 }}|{{ n|string + 'x' }}
{{ nope }}
{{ nope.x }}
{{ d.k.z }}
{{ a + n }}
{{ 1 / 0 }}
{% for i in n %}{% endfor %}
{{ foo( }}
{% for x in b %}
{% unknown %}""".split("\n")
CASES += [
    "  {% if yes %}\n  line\n  {% endif %}\nx {% if yes %}\ny{% endif %}\n{%- if yes %}  \n   z\n{%- endif %}\n  {# d #}\n{{ n }}\n"
    "{% for i in b -%}\n  {{ i }}\n{% endfor %}\n   {%+ if yes %}k{% endif %}\nend\n",
    "a\r\n\r\n",
    "{% if yes %}\n{% endif %}\n",
]
CHATS = {
    "im_start with a default system message": "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}"
    "{% endif %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "INST with a system message inside the first turn": "{% if messages[0].role == 'system' %}{% set rest = messages[1:] %}{% set head = '<<SYS>>\n' + messages[0].content + '\n<</SYS>>\n\n' %}"
    "{% else %}{% set rest = messages %}{% set head = '' %}{% endif %}{% for m in rest %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% set content = head + m.content if loop.index0 == 0 else m.content %}"
    "{% if m.role == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "header ids": "{{- bos_token }}\n{%- if not date is defined %}\n    {%- set date = '26 Jul 2024' %}\n{%- endif %}\n"
    "{%- if messages[0]['role'] == 'system' %}\n    {%- set sys = messages[0]['content']|trim %}\n    {%- set messages = messages[1:] %}\n"
    "{%- else %}\n    {%- set sys = '' %}\n{%- endif %}\n{{- '<|header|>system<|end|>\\n\\nToday: ' + date + '\\n\\n' + sys + '<|eot|>' }}\n"
    "{%- for message in messages %}\n    {{- '<|header|>' + message['role'] + '<|end|>\\n\\n' + message['content'] | trim + '<|eot|>' }}\n"
    "{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|header|>assistant<|end|>\\n\\n' }}\n{%- endif %}\n",
    "turns without a system message": "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for m in messages %}{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
    "{{ '<turn>' + role + '\n' + m['content'] | trim + '</turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<turn>model\n' }}{% endif %}",
    "pipes with end marks": "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n"
    "{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n"
    "{{ '<|assistant|>\n' + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
    "tools as JSON": "{%- if tools %}\n{{- '<tools>' }}\n{%- for tool in tools %}\n{{- '\\n' + (tool | tojson) }}\n{%- endfor %}\n{{- '\\n</tools>\\n' }}\n"
    "{%- endif %}\n{%- for message in messages %}\n{{- message.role + ': ' + message.content + '\\n' }}\n{%- endfor %}\n{%- if add_generation_prompt %}{{- 'assistant:' }}{%- endif %}",
    "thoughts are cut from earlier turns": "{%- set ns = namespace(last=-1) %}{%- for m in messages %}{%- if m.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}"
    "{%- for m in messages %}{%- set text = m.content.split('</think>')[-1].lstrip('\\n') if m.role == 'assistant' and loop.index0 < ns.last else m.content %}"
    "{{- '<' ~ m.role ~ '>' ~ text ~ '</' ~ m.role ~ '>' }}{%- endfor %}{{- '<assistant>' if add_generation_prompt }}",
    "a macro writes each turn": "{%- macro turn(role, text) -%}\n<start_of_{{ role }}>{{ text | trim }}<end_of_{{ role }}>\n{%- endmacro -%}\n"
    "{%- for m in messages -%}{{ turn(m.role, m.content) }}{%- endfor -%}{% if add_generation_prompt %}<start_of_assistant>{% endif %}",
    "contents may be lists of parts": "{% for m in messages %}{{ m.role|capitalize }}: {% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content %}"
    "{% if part.type == 'text' %}{{ part.text }}{% else %}<image>{% endif %}{% endfor %}{% endif %}\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}",
    "generation blocks and loop controls": "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content + eos_token }}{% endgeneration %}{% else %}{{ 'Q: ' + m.content + '\nA: ' }}{% endif %}{% endfor %}",
}
TALKS = [
    [{"role": "user", "content": "Hello?"}],
    [
        {"role": "system", "content": " Be brief.\n"},
        {"role": "user", "content": "Hi <b>there</b>\n"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\nHello 'you' "},
        {"role": "user", "content": "é 日本"},
    ],
]


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)


def raise_exception(message: str) -> None:
    raise TemplateError(message)


def dumps(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environments() -> dict:
    chats = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    chats.filters["tojson"] = dumps
    chats.globals["raise_exception"] = raise_exception
    tasks = Environment(loader=BaseLoader(), undefined=StrictUndefined, keep_trailing_newline=True)
    tasks.filters["regex_replace"] = lambda text, pattern, repl, count=0: re.sub(pattern, repl, text, count=count)
    return {"task": tasks, "chat": chats}


def rendered(environment, template: str, context: dict):
    try:
        return environment.from_string(template).render(**context)
    except Exception:  # whatever Python raises, the template is wrong
        return None


def main() -> None:
    made = environments()
    cases = [
        {"template": template, "texts": {kind: rendered(environment, template, CONTEXT) for kind, environment in made.items()}} for template in CASES
    ]
    chats = []
    for name, template in CHATS.items():
        for talk in TALKS:
            for prompt in (False, True):
                context = {"messages": talk, "add_generation_prompt": prompt, "bos_token": "<s>", "eos_token": "</s>", "tools": None}
                chats.append({"name": name, "template": template, "context": context, "text": rendered(made["chat"], template, context)})
    OUT.write_text(json.dumps({"context": CONTEXT, "cases": cases, "chats": chats}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
