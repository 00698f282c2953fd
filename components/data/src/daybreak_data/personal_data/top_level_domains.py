"""Top-level domains under which mail addresses live.

Source: the IANA root zone database (public facts), our selection: every two-letter country code in the zone,
and the generic domains that people receive mail under. Left out: brand domains, and words that name files or
attributes in code (``zip``, ``map``, ``call``, ``data``, ``open`` ...).
"""

from __future__ import annotations

_COUNTRY_CODES = """
ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc
cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga
gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo
jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr
ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re
ro rs ru rw sa sb sc sd se sg sh si sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr
tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw
"""

_GENERIC = """
com org net edu gov mil int arpa info biz name pro aero asia cat coop jobs mobi museum post tel travel
academy agency app art bank berlin bio blog brussels business buzz capital care cash center chat church city
cloud club codes coach coffee college community company computer consulting cool credit dance design dev
digital direct directory domains earth education email engineer engineering enterprises enterprise events
expert family farm finance fit foundation fun fund fyi gallery games gmbh global gold group guide guru hamburg
health help host hosting house icu inc institute international investments koeln land legal life live llc
london ltd ltda management market marketing media moe money network news ngo nyc one ong online ooo paris
partners party photo photography photos pizza plus press productions realty ren rocks ruhr school science
scot security services shop site social software solutions space studio support systems team tech technology
tips today tokyo tools top university uno ventures vip vision website wien wiki win work works world wtf xyz
yoga zone
"""

TOP_LEVEL_DOMAINS = frozenset(_COUNTRY_CODES.split()) | frozenset(_GENERIC.split())
