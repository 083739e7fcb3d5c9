# Renders template snippets with transformers 5.23.0 (jinja2 3.1.6) and writes snippets.jsonl and vars.json:
# t the template, r the text, g the ranges of {% generation %} in code points, e the error where it raises.
import json, datetime as dtm
import transformers.utils.chat_template_utils as ctu
class FD(dtm.datetime):
    @classmethod
    def now(cls,tz=None): return cls(2031,2,3,14,5,6,789)
ctu.datetime=FD
V={"s":"Hello World","u":"  äöü ß İ 中文 👩‍💻 \n","e":"","l":[3,1,2],"ll":["b","A","c"],"d":{"b":1,"a":None,"c":[1,2.5,True,"x'y"],"items":"it"},"n":None,"t":True,"f":1.0,"big":123456789012345678901234567890,"neg":-7,"objs":[{"k":"x","v":1},{"k":"Y","v":2},{"k":"x","v":3}],"x":1e20,"y":1e-7,"z":0.1,"q":"it's \"q\"\\ \t\x01\x7f\u2028é","nested":{"a":{"b":[{"c":1}]}},"msgs":[{"role":"user","content":"a"},{"role":"assistant","content":None}]}
S=r'''
{{ s }}|{{ u }}|{{ e }}|{{ l }}|{{ d }}|{{ n }}|{{ t }}|{{ f }}|{{ big }}|{{ x }}|{{ y }}|{{ z }}|{{ q }}
{{ [q] }}{{ {'a':q} }}{{ (1,) }}{{ () }}{{ (1,2) }}
{{ d|tojson }}{{ q|tojson }}{{ l|tojson(indent=2) }}{{ d|tojson(indent=4) }}{{ d|tojson(sort_keys=true) }}{{ d|tojson(separators=(',',':')) }}{{ u|tojson(ensure_ascii=true) }}{{ []|tojson(indent=2) }}{{ {}|tojson(indent=2) }}
{{ undefined_var|tojson }}
{{ undefined_var }}[{{ undefined_var|default('dd') }}]{{ n|default('x') }}{{ n|default('x', true) }}{{ e|d('z',boolean=true) }}
{{ undefined_var.foo }}
{{ undefined_var[0] }}
{{ undefined_var + 'x' }}
{{ undefined_var ~ 'x' }}
{{ s + 1 }}
{{ s ~ 1 ~ none ~ true ~ 1.5 }}
{{ 1 + true }}{{ 7 // 2 }}{{ -7 // 2 }}{{ -7 % 3 }}{{ 7 / 2 }}{{ 2 ** 10 }}{{ 2 ** -1 }}{{ 7.5 // 2 }}{{ -7.5 % 2 }}{{ 10 % 3.0 }}
{{ 2 ** 3 ** 2 }}{{ -2 ** 2 }}{{ 1 - -1 }}{{ 1 + 2 ~ 3 }}{{ 1 ~ 2 + 3 }}
{{ 1 ~ 2 * 3 }}
{{ 1/0 }}
{{ big + 1 }}{{ big * big }}{{ 9223372036854775807 + 1 }}{{ 99999999999999999999 - 99999999999999999998 }}
{{ l + [4] }}{{ l * 2 }}{{ 'ab' * 3 }}{{ 3 * 'ab' }}{{ 'a' * -1 }}
{{ l + 'a' }}
{{ l - 1 }}
{{ 1 < 2 < 3 }}{{ 1 < 3 < 2 }}{{ 'a' < 'b' }}{{ [1,2] < [1,3] }}{{ 1 == 1.0 }}{{ true == 1 }}{{ '1' == 1 }}{{ none == none }}{{ l == [3,1,2] }}{{ (1,2) == [1,2] }}
{{ 1 < 'a' }}
{{ 'a' in s }}{{ 'Hello' in s }}{{ 3 in l }}{{ 'b' in d }}{{ 'zz' not in d }}{{ 1 in undefined_var }}
{{ 1 in s }}
{{ 1 in 5 }}
{{ not e }}{{ not l }}{{ e or 'alt' }}{{ s and 'y' }}{{ none or false }}
{{ 'y' if s else 'n' }}{{ 'y' if e }}{{ 'a' if e else 'b' if n else 'c' }}
{{ s.upper() }}{{ s.lower() }}{{ s.title() }}{{ 'hELLO wORLD'.capitalize() }}{{ s.swapcase() }}{{ u.strip() }}|{{ u.lstrip() }}|{{ u.rstrip() }}|{{ 'xxaxx'.strip('x') }}{{ 'abcba'.lstrip('ab') }}
{{ s.split() }}{{ s.split(' ') }}{{ 'a,b,,c'.split(',') }}{{ 'a,b,c'.split(',',1) }}{{ 'a,b,c'.rsplit(',',1) }}{{ ' a  b '.split() }}{{ ' a  b c'.split(none,1) }}{{ 'a b c'.rsplit(none,1) }}{{ ''.split() }}{{ ''.split(',') }}{{ 'a\nb\r\nc'.splitlines() }}{{ 'a\nb\n'.splitlines(true) }}
{{ s.split('') }}
{{ s.replace('l','L') }}{{ s.replace('l','L',1) }}{{ s.replace('','-') }}{{ s|replace('o','0') }}{{ s|replace('l','L',2) }}
{{ s.startswith('He') }}{{ s.endswith(('x','d')) }}{{ s.startswith('W',6) }}{{ s.find('o') }}{{ s.rfind('o') }}{{ s.find('zz') }}{{ s.index('o') }}{{ s.count('l') }}{{ u.find('中') }}
{{ s.index('zz') }}
{{ ','.join(ll) }}{{ ','.join(['a']) }}{{ 'ab'.join('xyz') }}
{{ ','.join(l) }}
{{ 'a-b-c'.partition('-') }}{{ 'a-b-c'.rpartition('-') }}{{ 'abc'.partition('-') }}{{ 'abc'.rpartition('-') }}
{{ 'abc'.removeprefix('a') }}{{ 'abc'.removesuffix('c') }}{{ '7'.zfill(3) }}{{ '-7'.zfill(4) }}[{{ 'a'.center(4) }}][{{ 'ab'.center(5,'*') }}][{{ 'a'.ljust(3) }}][{{ 'a'.rjust(3,'.') }}]
{{ '12'.isdigit() }}{{ 'a1'.isalnum() }}{{ 'ab'.isalpha() }}{{ ' '.isspace() }}{{ ''.isdigit() }}{{ 'A'.isupper() }}{{ 'aB'.islower() }}{{ '½'.isnumeric() }}
{{ 'a{}b{}'.format(1,'x') }}{{ '{0}{1}{0}'.format('a','b') }}{{ '{n:>5}|{n:<5}|{n:^5}'.format(n='x') }}{{ '{:05d}|{:.2f}|{:,}|{:x}'.format(42,3.14159,1234567,255) }}{{ '{{}}'.format() }}{{ '{a[b]}{c.d}'.format(a={'b':1},c={'d':2}) }}
{{ '{}'.format() }}
{{ '%s %d %.2f %5s|%-5s|%05d %%' % ('a',3,2.5,'x','y',42) }}{{ 'x%sy' % 'z' }}{{ '%(a)s' % {'a':1} }}{{ '%r' % 'q' }}
{{ '%s' % (1,2) }}
{{ '%d' % 'x' }}
{{ "%s-%s"|format('a',1) }}
{{ d.items() }}{{ d.keys() }}{{ d.values() }}{{ d.get('b') }}{{ d.get('zz') }}{{ d.get('zz', 5) }}{{ d['items'] }}{{ d.b }}{{ d['c'] }}{{ d.c[2] }}{{ d.copy() }}
{{ d.update({'z':1}) }}
{{ l.append(4) }}
{{ l.pop() }}
{{ d.pop('b') }}
{{ l.index(1) }}{{ l.count(2) }}{{ l[0] }}{{ l[-1] }}{{ l[5] }}|{{ l[1:] }}{{ l[:-1] }}{{ l[::-1] }}{{ s[1:4] }}{{ s[::-1] }}{{ s[-3:] }}{{ u[2:5] }}{{ l[::2] }}{{ l[5:] }}{{ s[0] }}{{ s[99] }}|
{{ l[5].x }}
{{ l.foo }}|{{ s.foo }}|{{ n.foo }}|{{ d.foo }}|{{ l['a'] }}|{{ (1).foo }}
{{ n.foo.bar }}
{{ n() }}
{{ s() }}
{{ foo() }}
{{ s._x }}|{{ s.__class__ }}|{{ d.__init__ }}
{{ s.__class__.__name__ }}
{{ l|length }}{{ s|length }}{{ u|length }}{{ d|length }}{{ e|count }}
{{ 5|length }}
{{ n|length }}
{{ l|sort }}{{ ll|sort }}{{ ll|sort(case_sensitive=true) }}{{ l|sort(reverse=true) }}{{ objs|sort(attribute='k') }}{{ objs|sort(attribute='k,v',reverse=true) }}
{{ l|first }}{{ l|last }}{{ []|first }}|{{ l|min }}{{ l|max }}{{ ll|max }}{{ l|sum }}{{ objs|sum(attribute='v') }}{{ l|join(',') }}{{ objs|join('-',attribute='v') }}{{ [1,none,'a']|join('|') }}
{{ l|reverse|list }}{{ s|reverse }}{{ l|map('string')|list }}{{ objs|map(attribute='k')|list }}{{ objs|map(attribute='zz',default='-')|list }}{{ objs|map(attribute='k')|map('upper')|join(',') }}{{ nested|map('upper')|list }}
{{ l|select('odd')|list }}{{ l|reject('odd')|list }}{{ l|select('>',1)|list }}{{ objs|selectattr('v','equalto',2)|list }}{{ objs|rejectattr('k','eq','x')|list }}{{ objs|selectattr('zz')|list }}{{ objs|selectattr('zz','defined')|list|length }}{{ [0,1,none]|select|list }}
{{ 'T' if [] | select else 'F' }}{{ 'T' if []|selectattr('a')|list else 'F' }}
{{ (l|select('odd'))|length }}
{{ objs|groupby('k')|list|length }}{{ l|unique|list }}{{ ['a','A','b']|unique|list }}{{ ['a','A']|unique(case_sensitive=true)|list }}
{{ l|batch(2)|list }}{{ l|batch(2,'x')|list }}{{ l|slice(2)|list }}{{ [1,2,3,4,5]|slice(3,'-')|list }}
{{ d|dictsort }}
{{ {'b':1,'A':2}|dictsort }}{{ {'b':1,'A':2}|dictsort(true) }}{{ {'b':1,'A':2}|dictsort(by='value') }}{{ {'b':1,'A':2}|dictsort(reverse=true) }}
{{ d|items|list }}{{ d|list }}{{ s|list }}{{ undefined_var|list }}{{ undefined_var|items|list }}
{{ s|upper }}{{ s|lower }}{{ s|title }}{{ 'foo-bar (baz)'|title }}{{ "it's a"|title }}{{ 'foo BAR'|capitalize }}{{ u|trim }}|{{ 'xax'|trim('x') }}|{{ 5|string }}{{ none|string }}{{ l|string }}
{{ '<a>&"\''|escape }}{{ '<a>'|e }}{{ '<a>'|safe }}{{ '<p>a <b>c</b></p>'|striptags }}
{{ 'a\nb\n\nc'|indent }}|{{ 'a\nb'|indent(2) }}|{{ 'a\nb'|indent(2,true) }}|{{ 'a\n\nb'|indent(2,blank=true) }}|{{ 'a\nb\n'|indent('> ') }}|{{ ''|indent(4,true) }}
{{ '5'|int }}{{ 'x'|int }}{{ 'x'|int(9) }}{{ 3.9|int }}{{ '3.9'|int }}{{ none|int }}{{ true|int }}{{ 'ff'|int(base=16) }}{{ '1.5'|float }}{{ 'x'|float }}{{ 3|float }}{{ none|float(2.0) }}
{{ 3.14159|round(2) }}{{ 2.5|round }}{{ 3.5|round }}{{ 2.1|round(0,'ceil') }}{{ 2.9|round(0,'floor') }}{{ 5|round }}{{ -3|abs }}{{ -3.5|abs }}{{ 2.675|round(2) }}
{{ 'foo bar baz qux'|truncate(9) }}{{ 'foo bar baz qux'|truncate(9,true) }}{{ 'foo bar baz qux'|truncate(11) }}{{ 'foo bar baz qux'|truncate(11,false,'...',0) }}
{{ 'a b&c/d?é'|urlencode }}{{ 'one two, three'|wordcount }}{{ 'abc'|center(9) }}|{{ s|attr('upper') is callable }}
{{ s is string }}{{ l is string }}{{ d is mapping }}{{ l is mapping }}{{ l is sequence }}{{ d is sequence }}{{ s is sequence }}{{ 5 is sequence }}{{ l is iterable }}{{ 5 is iterable }}{{ s is iterable }}{{ d.items() is sequence }}{{ undefined_var is iterable }}{{ undefined_var is sequence }}{{ none is iterable }}
{{ 5 is number }}{{ true is number }}{{ 5 is integer }}{{ true is integer }}{{ 5.0 is integer }}{{ 5.0 is float }}{{ true is boolean }}{{ 1 is boolean }}{{ true is true }}{{ 1 is true }}{{ false is false }}{{ none is none }}{{ undefined_var is none }}{{ n is defined }}{{ undefined_var is undefined }}{{ s is callable }}{{ range is callable }}
{{ 3 is odd }}{{ 4 is even }}{{ 9 is divisibleby 3 }}{{ 9 is divisibleby(2) }}{{ 'a' is in 'abc' }}{{ 1 is eq 1 }}{{ 1 is sameas 1 }}{{ 'ABC' is upper }}{{ 'abc' is lower }}{{ 'upper' is filter }}{{ 'odd' is test }}{{ 1 is not none }}{{ 2 is gt 1 }}{{ 2 is lessthan 3 }}{{ not 1 is none }}
{{ 1 is foo }}
{{ 1|foo }}
{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a','b') }}{{ loop.depth }};{% endfor %}
{% for i in l if i > 1 %}{{ i }}{{ loop.length }}{% else %}none{% endfor %}{% for i in [] %}x{% else %}empty{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}{% for a, (b, c) in [(1,(2,3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for a, b in [1,2] %}{% endfor %}
{% for a, b in [(1,2,3)] %}{% endfor %}
{% for i in 5 %}{% endfor %}
{% for i in none %}{% endfor %}
{% for i in undefined_var %}x{% else %}e{% endfor %}{% for c in 'añ中' %}[{{ c }}]{% endfor %}
{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}
{% for i in range(3) %}{% for j in range(2) %}{{ loop.index }}{{ i }}{{ j }}{% endfor %}{{ loop.index }}{% endfor %}
{% for x in [1,1,2] %}{{ loop.changed(x) }}{% endfor %}
{% for m in [{'c':[{'c':[]}]},{'c':[]}] recursive %}({{ loop.depth }}{{ loop(m.c) }}){% endfor %}
{% set a = 1 %}{% for i in l %}{% set a = a + i %}{{ a }}{% endfor %}{{ a }}
{% set ns = namespace(a=1, b='x') %}{% for i in l %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.zz }}
{% set ns = namespace() %}{% set ns.l = [] %}{% set ns.l = ns.l + [1] %}{{ ns.l }}{{ ns.get }}
{% set ns = {} %}{% set ns.x = 1 %}
{% set ns = namespace(_a=1) %}
{% set ns = namespace() %}{% set ns._x = 1 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, d2) = [3,4] %}{{ c }}{{ d2 }}{% set x2 = 1, 2 %}{{ x2 }}
{% set a %}block {{ s }}{% endset %}[{{ a }}]{% set b | upper %}low{% endset %}{{ b }}{% set c | replace('a','b') | upper %}aaa{% endset %}{{ c }}
{% if false %}{% set zz = 1 %}{% endif %}{{ zz }}{% if true %}{% set zz = 2 %}{% endif %}{{ zz }}
{% macro m(a, b='d', c=b) %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ m(1) }}{{ m(1,2) }}{{ m(b=3,a=4) }}{{ m() }}{{ m(1,2,3) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1,2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=1) }}
{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1,2,z=3) }}
{% macro m(x) %}<{{ caller(x) }}>{% endmacro %}{% call(y) m(5) %}in {{ y }}{% endcall %}{% macro n2() %}[{{ caller() }}]{% endmacro %}{% call n2() %}body{% endcall %}
{% macro fact(n) %}{% if n <= 1 %}1{% else %}{{ n }}*{{ fact(n-1) }}{% endif %}{% endmacro %}{{ fact(4) }}
{% macro a() %}{{ b2() }}{% endmacro %}{% macro b2() %}B{% endmacro %}{{ a() }}
{% set v = 1 %}{% macro m() %}{{ v }}{% endmacro %}{{ m() }}{% set v = 2 %}{{ m() }}
{% macro m() %}{{ loop }}{% endmacro %}{% for i in [1] %}{{ m() }}{% endfor %}
{% macro m() %}  x  {% endmacro %}[{{ m()|trim }}]{{ m() + 'y' }}{{ m() is string }}{{ m.name }}
{% filter upper %}abc{{ s }}{% endfilter %}{% filter replace('a','b')|upper %}aaa{% endfilter %}
{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}{% with %}{% set q9 = 1 %}{{ q9 }}{% endwith %}{{ q9 }}
{% raw %}{{ x }} {% if %}{% endraw %}{{ s }}
{#- comment -#} a {# c #} b {#- d #}
{{ 'a' 'b' }}{{ "x\ty\x41\u00e9\n\q\\" }}{{ 'it\'s' }}
{{ 1_000 }}{{ 0x1f }}{{ 0b11 }}{{ 0o17 }}{{ 1e3 }}{{ 1.5e-3 }}{{ 1E5 }}
{{ {'a':1,'b':[1,2],}['b'][0] }}{{ [1,2,][1] }}{{ {1:'x'}[1] }}{{ {(1,2):3}[(1,2)] }}
{{ {[1]:2} }}
{{ range(3) }}{{ range(3)|list }}{{ range(1,4)|list }}{{ range(5,0,-2)|list }}{{ range(0)|list }}{{ range(1,10,3) }}
{{ range(1000000) }}
{{ dict(a=1,b=2) }}{{ dict([('x',1)]) }}{{ dict({'p':1},q=2) }}{{ dict() }}
{{ raise_exception('boom ' ~ s) }}
{{ strftime_now('%Y-%m-%d %H:%M:%S %d %b %B %a %A %j %y %p %I %-d %e|') }}
{% set j = joiner('|') %}{{ j() }}a{{ j() }}b{{ j() }}c{% set cy = cycler('a','b') %}{{ cy.next() }}{{ cy.next() }}{{ cy.next() }}{{ cy.current }}
{% if s is defined and s %}a{% elif n %}b{% else %}c{% endif %}{% if n is none %}N{% endif %}
{% if msgs[1].content is none %}none{% endif %}{{ msgs[0]['role'] }}{{ msgs[-1].role }}{{ msgs|map(attribute='content')|list }}
{% for m in msgs %}{% if not loop.last %}{{ loop.nextitem.role }}{% endif %}{% if loop.previtem is defined %}P{{ loop.previtem.role }}{% endif %}{% endfor %}
  {% if true %}
    text
  {% endif %}
after
{%- if true -%}
  x
{%- endif +%}
y
{%+ if true %}z{% endif %}
  {{ s }}  
  {#- x -#}  
a
{% for i in [1,2] -%}
  {{ i }}
{%- endfor %}
end
{{ nested.a.b[0].c }}{{ nested['a']['b'] }}{{ nested.a.b.0.c }}
{{ l.0 }}{{ s|length > 3 }}{{ s|upper|lower == 'hello world' }}{{ -l|first }}{{ (s ~ 'x')|length }}{{ s ~ 'x'|length }}
{{ not true and false }}{{ true and not false }}{{ 1 if not n else 2 }}{{ 5 not in l }}
{{ l is defined and l|length > 2 }}{{ s is not defined or true }}
{% generation %}gen{% endgeneration %}{{ s }}{% generation %}{% set gg = 1 %}{{ gg }}{% endgeneration %}[{{ gg }}]
{% macro gm() %}{% generation %}in macro{% endgeneration %}{% endmacro %}pre {{ gm() }} post
{% for i in l %}{% generation %}中{{ i }}{% endgeneration %}-{% endfor %}
{% block x %}a{% endblock %}
{% include 'x' %}
{% if %}
{{ }}
{% for %}
{{ s
{% if s %}
{% endif %}
{{ 'abc }}
{{ s | }}
{{ (1 }}
{{ 1 2 }}
{% set 1 = 2 %}
{% set true = 2 %}
{{ [1,2]|tojson }}{{ (1,2)|tojson }}{{ {1:2,none:3,true:4,1.5:5}|tojson }}{{ 'é\u2028'|tojson }}{{ 1e400|tojson }}{{ 1.0|tojson }}{{ 100000000000000000000.0|tojson }}
{{ range(3)|tojson }}
{{ d.items()|tojson }}
{{ loop }}
{% break %}
{{ s|default }}{{ zz|default }}{{ zz.a|default('x') }}
{{ namespace(a=1).a }}{{ namespace({'a':1}).a }}
{{ true|string }}{{ 1.0|string }}{{ [none,true,1.0]|string }}{{ true|lower }}{{ none|upper }}
{{ '%s'|format }}
{{ ['a','b'] == ['a','b'] }}{{ {'a':1} == {'a':1} }}{{ 'a' != 'b' }}{{ l != l }}{{ 1 != '1' }}
{{ {} or [] or '' or 0 or none or 'z' }}{{ 0.0 or 'f' }}
{{ s.split('o')[0] }}{{ s.split('o')|length }}{{ (s.split('o')|last).lstrip() }}{{ s.split('W')[-1].split('l')[0] }}
{%- set content = 'a</think>b' -%}{{ content.split('</think>')[-1].lstrip('\n') }}{{ (content.split('</think>')|first).rstrip('\n') }}
{{ "a" if "b" in "abc" and not ("z" in "abc") else "c" }}
{{ l|sort|first ~ l|sort|last }}
{{ 'x' * 3 ~ 'y' }}{{ ('a','b')|join }}{{ 'abc'|first }}{{ 'abc'|last }}{{ 'bca'|sort }}{{ 'abc'|max }}
{{ objs[0].k ~ objs|length }}{{ objs|map('tojson')|join(', ') }}{{ objs|map(attribute='v')|sum }}
{{ [[1,2],[3]]|sum(start=[]) }}{{ ['a']|sum }}
{{ s|map('upper')|join }}{{ d|map('length')|list }}
{{ 3.0 == 3 }}{{ 3.0|int }}{{ 1e16 }}{{ 123456789.123456789 }}{{ 1e15 }}{{ 0.00001 }}{{ -0.0 }}{{ 1e22 }}
'''
snips=[x for x in S.split('\n') if x]
multi='''  {% if true %}
    text
  {% endif %}
after
|||a
   {%- if true -%}
  x
{%- endif +%}
y
{%+ if true %}z{% endif %}
|||
  {{ s }}  
  {#- x -#}  
a
{% for i in [1,2] -%}
  {{ i }}
{%- endfor %}
end

|||{% for i in l %}
{{ i }}
{% endfor %}
{% raw %}
 {{ raw }}
{% endraw %}
x
  {%- raw -%}  y  {%- endraw -%}  z
|||a\r\nb{% if true %}\r\nc{% endif %}\r\n
|||{# multi
line #}
x {# y #}
z
|||{% set x %}
 a
{% endset %}
[{{ x }}]
{% macro m(a) %}
  {{ a }}
{% endmacro %}
{{ m(1) }}
|||  {% set a = 1 %}  b
   {%- set c = 2 %}
    d
|||{{ s }}
{{- s -}}
  {{+ s }}
'''.replace('\\r','\r').split('|||')
out=open('snippets.jsonl','w')
json.dump(V,open('vars.json','w'),ensure_ascii=False)
n=r=0
for t in snips+multi:
    e={"t":t}
    try:
        x,g=ctu.render_jinja_template([[]],chat_template=t,return_assistant_tokens_mask=True,**V); e["r"]=x[0]; e["g"]=g[0]; r+=1
    except Exception as ex: e["e"]=type(ex).__name__+': '+str(ex)
    out.write(json.dumps(e,ensure_ascii=True)+"\n"); n+=1
print(n,r)
