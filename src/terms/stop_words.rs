//! Words that never begin or end a term.
//!
//! Function words of English and of the languages that abstracts are translated into, the words that papers use about
//! themselves, and those of publishers.

use std::collections::HashSet;
use std::sync::LazyLock;

const ENGLISH: &str = "a about above according accordingly across actually after afterwards again against ago albeit all \
    allow allowed allowing allows almost alone along already also although altogether always am among amongst an and \
    another any anything are around as aside at away back be became because become becomes becoming been before \
    beforehand behind being below beneath beside besides better best between beyond both but by can cannot certain \
    clearly come could current currently despite did different do does doing done down due during each easily either \
    else elsewhere enough entire entirely especially essentially etc even ever every everything exactly except few fewer \
    finally first firstly five for former formerly forth four from fully further furthermore generally get give given \
    gives giving good great greater greatly had hand hard has have having he hence her here hereby herein hers high \
    higher highest highly him his how however i ideally if in indeed inside instead into is it its itself just keep kind \
    largely larger largest last later latter least led less let like likely little long look lot low lower lowest made \
    main mainly make makes making many may maybe me mean meanwhile merely might more moreover most mostly much must my \
    namely naturally near nearly necessarily need needed needs neither never nevertheless new newly next no nobody none \
    nonetheless nor not notably nothing now nowadays o obviously of off often on once one ones only onto or other others \
    otherwise our ours ourselves out outside over overall own particular particularly per perhaps poorly possible \
    possibly potentially precisely previous previously prior quite rather readily real really recent recently related \
    relatively respective respectively said same say second secondly seem seems seen seldom self several shall she \
    should simple simply since single six small smaller so solely some somehow something sometimes somewhat soon still \
    strongly such sufficiently take taken takes taking than that the their theirs them themselves then there thereafter \
    thereby therefore therein thereof these they third this thorough thoroughly those though three through throughout \
    thus till to together too toward towards truly try two typical typically under unless unlike until up upon us \
    usually very via want was way ways we well were what whatever when whenever where whereas whereby wherein whether \
    which while whilst who whole whom whose why wide widely will with within without would yes yet you your yours zero \
    don doesn didn isn aren wasn weren won wouldn couldn shouldn hasn haven ll ve re eg ie viz cf et al vs \
    arbitrary available big common comparable completely consistent consistently corresponding crucial desired \
    detailed directly diverse early effective effectively efficiently enhanced entirely equally essential existing \
    extensive extra extremely far favorable final following frequent full fundamental general hardly huge immediately \
    important increasingly independently individually initial interesting interestingly intrinsically key known latest \
    major max min minor modern multiple naive necessary nice notable numerous obvious old ordinary original partially \
    partly popular precise present presently primarily primary principled promising proper properly quick rapid rapidly \
    rare reasonable reliable remarkable remarkably rich rigorous robustly severe short significant significantly similar \
    similarly slightly slowly sophisticated specific specifically standard strong substantial substantially successful \
    successfully suitable superior systematically total traditional traditionally tremendous true unexpected unified \
    unique unprecedented useful usual valuable various vast versatile vital worth worthwhile";

/// Quantities in words.
const QUANTITIES: &str = "cent dozen dozens double eight eighteen eighth eighty eleven fifteen fifth fifty fold forty \
    fourteen fourth half halves hundred hundreds million millions billion nine nineteen ninety ninth percent quarter \
    quarters seven seventeen seventh seventy sixteen sixth sixty ten tenth third thirds thirteen thirty thousand \
    thousands triple twelve twentieth twenty twice";

/// What papers do, whatever they are about.
const ACADEMIC: &str = "able abstract achieve achieved achieves achieving additional additionally address addressed addresses addressing \
    adopt adopted advanced affect affected aimed aiming allows analyse analysed analysing analyze analyzed analyzing \
    appear appears applicable applied apply applying appropriate argue art article articles assess assessed \
    assessing associated assume assumed author authors based begin behind believe bring broad build building built \
    calculate calculated call called capable capture captured captures capturing carried caused central challenging \
    characterize characterized choose chosen ci close collect collected com combine combined combines combining \
    compare compared compares comparing competitive complete comprehensive comprise compute computed concerned \
    concerning conclude conduct conducted confirm confirmed consequently consider considerable considerably \
    considered considering consist consisting consists constitute construct constructed contain containing contains \
    contribute contributed contributes conventional create created creates creating critical dealing define defined \
    defines demo demonstrate demonstrated demonstrates demonstrating depend dependent depends derive derived \
    describe described describes describing designed desirable determine determined determining develop developed \
    developing develops difficult discover discovered discuss discussed discusses discussing draw drawn drive driven \
    efficient emerge emerged emerging employ employed employing employs enable enabled enables enabling encounter \
    enhance enhances enhancing ensure ensures ensuring establish established establishes evaluate evaluated \
    evaluates evaluating examine examined examines examining exhibit exhibits exist exists expect expected \
    experimental experimentally experimentation explain explained explore explored explores exploring extant extend \
    extended extends extensively facilitate facilitates facilitating fail failed fails favourable feasible find \
    finds focused focuses focusing follow followed follows forms formulate formulated found fraction gained generate \
    generated generates generating github handle handling helps hold holds homepage hope http https identified \
    identifies identify identifying illustrate illustrated implement implemented implementing improve improved \
    improves improving include included includes including incorporate incorporates incorporating increase increased \
    increases increasing indicate indicated indicates indicating insightful integrate integrated integrates \
    integrating introduce introduced introduces introducing investigate investigated investigates investigating \
    involve involved involves involving io keywords lead leading leads leverage leveraged leverages leveraging lie \
    lies limited measured meet modeled modelled motivate motivated named net novel observe observed obtain obtained \
    obtaining occur occurs offer offering offers open org outperform outperforming outperforms overcome p-value \
    paper papers percentile perform performed performing performs play played plays pose poses practical presented \
    presenting presents produce produced produces producing prone propose proposed proposes proposing prove proved \
    proven proves provide provided provides providing publicly published pursue put quantify raise raised ranging \
    reach reached reaches realize recognize recognized reduce reduced reduces reducing refer referred regard \
    regarding regardless relate relations release released relevant relies rely relying remain remained remaining \
    remains reported reporting represent represented representing represents require required requires requiring \
    resolve respect respectively respond resulted resulting reveal revealed revealing reveals reviewed running sd \
    see seek seeks select selected serve serves shared show showed showing shown shows solve solved solves solving \
    sota speaking start started state-of-the-art statistically structured studied studying suffer suffers sufficient \
    suggest suggested suggesting suggests summarize supported supporting supports systematic tackle tend termed \
    tested thesis touch ubiquitous underlying understand understood undertake undertaken unknown url used useful \
    uses using utilise utilised utilising utilize utilized utilizes utilizing validate validated vary varying \
    verified verify website worked working www yield yielded yielding yields";

/// Nouns and adjectives of every field: no term alone, but part of many.
const COMMON: &str = "ability absence access account accuracy achievement adaptive addition advance advancement advances advantage age \
    aim aims algorithm algorithms alternative amount analyses analysis annotated answer applicability application \
    applications approach approaches area areas aspect aspects assumption assumptions attempt attention automatic \
    award background baseline baselines basis behavior behaviour benchmark benchmarks benefit benefits biological \
    bound bounded bounds bridge capabilities capability case cases cause causes challenge challenges change changes \
    chapter characteristic characteristics choice class classes classical code combination community comparison \
    complex complexity component components computational concept concepts concern concerns conclusion conclusions \
    condition conditional conditions confidence consequence content context contexts continuous contrast \
    contribution contributions control correction cost costs countries country cross-sectional data dataset datasets \
    datum days deal decision deep degree demand dense description design detail details detection development \
    difference differences difficulty directions discrete discussion display distribution distributions domain \
    domains dynamic dynamical dynamics economic effect effectiveness effects efficacy efficiency effort efforts \
    element elements emphasis empirical end end-to-end environment error errors estimate estimated estimates \
    estimating estimation estimations evaluation evaluations event events evidence example examples experience \
    experiment experiments extent fact factor factors fast feasibility feature features field fields figure finding \
    findings finite first-order focus form framework frameworks function functions future gain gains gap gaps \
    generation global goal goals group groups guarantee help high-dimensional high-level high-quality hours human \
    hybrid hypothesis idea ideas impact impacts implementation implication implications importance improvement \
    improvements inclusion individual individuals inference infinite influence influences information input insight \
    insights instance instances intelligent interaction interactions interest international interval intervals \
    introduction investigation issue issues item items joint journal kind kinds knowledge lack large-scale learning \
    level levels light limit limitation limitations limits line linear literature local long-term low-cost low- \
    dimensional low-level management manner material materials mathematical mean measure measures mechanism \
    mechanisms median method methodologies methodology methods model modeling modelling models months motivation \
    multi-step name national nature negative network networks nonlinear notion novelty number numbers numeric \
    numerical object objective objectives objects observation observations one-dimensional operation optimal \
    optimality optimization order outcome outcomes outline outperformance output overview page paradigm parameter \
    parameters part participants parts pattern patterns people percent percentage performance performances period \
    perspective perspectives phenomena phenomenon physical plan point points policy population populations portion \
    position positive potential practice practices prediction presence presentation private problem problems \
    procedure procedures process processes product production progress project promise properties property \
    proportion proposal prospect protocol publication publications purpose purposes qualitative quality quantitative \
    quantity question questions random range ranges rate rates pre-trained real-time real-world reason reference regime region \
    regional regions relation relationship relationships relevance report reports repository representation \
    representations requirement requirements research researcher researchers resource resources response result \
    results review reviews robust role roles rule rules run sample samples scale scenario scenarios scheme schemes \
    science scope second-order section semantic series service services set sets setting settings setup shallow \
    shape share short-term side significance simple simulation simulations site sites situation situations size slow \
    small-scale smart so-called social solution solutions source sources space sparse spatial species stage stages \
    state states static statistical statistics step steps strategies strategy strength strong structure structures \
    studies study subject subjects subset suitability summary support survey surveys system systems table target \
    targets task tasks team technical technique techniques technologies technology temporal term terms test testing \
    tests theoretical theory three-dimensional time times today tool tools topic topics total training trend trends \
    two-dimensional type types understanding unit units usage use user users utility utilization validation validity \
    value values variable variables variant variants variation variations variety verification version view views \
    virtual weak weeks well-known work works world year years";

const PUBLISHERS: &str = "copyright elsevier springer wiley ieee acm mdpi doi isbn issn reserved rights ltd inc bv gmbh \
    press publisher publishers publishing published license licence creativecommons arxiv preprint preprints \
    supplementary appendix proceedings conference workshop editorial issue volume vol pp pages fig figs eq eqs ref refs \
    january february march april june july august september october november december monday";

const GERMAN: &str = "aber alle allem allen aller als also am an andere anderen auch auf aus außerdem bei beim bereits \
    bis bzw da dabei dadurch dafür daher damit dann daran darauf das dass daß dazu dem den denen denn der deren des \
    dessen die dies diese diesem diesen dieser dieses doch dort durch ein eine einem einen einer eines einige er es für \
    gegen haben hat hier ihr ihre ihren im in insbesondere ist je jedoch kann keine können man mehr mit nach neue neuen \
    nicht noch nur ob oder ohne sehr sein seine sich sie sind so sowie über um und uns unter vom von vor während war \
    waren was welche wenn werden wie wird wir wurde wurden zu zum zur zwischen arbeit artikel beitrag ergebnisse \
    untersucht studie";

const ROMANCE: &str = "à afin ai ainsi alors après au aucun aussi autre autres aux avant avec avoir car ce cela celle \
    celles celui ces cet cette ceux chaque chez comme comment dans de depuis des deux dont du elle elles en encore entre \
    est et était été être eux fait font grâce il ils je la le les leur leurs lors lorsque lui mais même moins ne nos \
    notre nous on ont ou où par parmi pas pendant peu peut plus plusieurs pour pourquoi quand que quel quelle qui sa \
    sans selon ses si soit son sont sous sur tous tout toute toutes très un une vers vos votre vous étude article présentons présente proposons propose permet permettant méthode méthodes approche approches système systèmes \
    résultats recherche travail al algo ante antes así aunque bajo bien cada como con contra cual cuales cuando cuanto \
    del desde donde dos durante e el ella ellas ellos esta estas este esto estos está están fue fueron ha han hasta hay \
    la las le les lo los más mediante mientras muy nos nosotros o para pero por porque que quien se según ser si sin \
    sobre son su sus también tanto tiene todo todos tras través tres un una uno unos unas y ya estudio resultados \
    artículo trabajo ao aos as até com como da das de dela dele do dos e é ela eles em entre era essa esse esta este foi \
    foram há isso isto já mais mas mesmo muito na nas não no nos o os ou pela pelas pelo pelos por quando que quem são se \
    sem ser seu seus sua suas também tem têm um uma umas uns artigo estudo trabalho pesquisa ad ai agli alla alle anche \
    che ci col con cui da dagli dai dal dalla dalle degli dei del della delle dello di dopo e ed egli essere fra fu gli ha \
    hanno i il in io la le lo loro ma nei nel nella nelle noi non o ogni per perché più prima quale quando quella quelle \
    quelli quello questa queste questi questo se sono sta stato su sua sue sugli sui sul sulla sulle suo tra tutti tutto \
    un una uno studio risultati lavoro ricerca";

/// Endings of compounds that make an adjective of a thing: what comes before them is the thing.
const ADJECTIVES: &str = "based driven aware like related specific induced free level wise guided oriented dependent \
    independent agnostic centric enabled inspired informed assisted enhanced powered style type only to";

static STOP_WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let lists = [ENGLISH, QUANTITIES, ACADEMIC, PUBLISHERS, GERMAN, ROMANCE];
    lists.iter().flat_map(|list| list.split_whitespace()).collect()
});

static COMMON_WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| COMMON.split_whitespace().collect());

static ENDINGS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| ADJECTIVES.split_whitespace().collect());

/// Whether a word, in lower case, says nothing about a subject.
pub(super) fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.contains(word)
}

/// Whether a word, in lower case, says something only beside another.
pub(super) fn is_common(word: &str) -> bool {
    COMMON_WORDS.contains(word)
}

/// Whether a word, in lower case, only makes an adjective of the word before its hyphen.
pub(super) fn is_adjective_ending(word: &str) -> bool {
    ENDINGS.contains(word)
}
